"""A stream of events outlives the request's access check, and ends when its caller loses access."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.access.gatekeeper import LOOK_EVERY_SECONDS, Gatekeeper
from service.config.events import EventKind
from service.errors import DatabaseUnavailable
from service.settings import Settings
from service.store.run_store import add_event
from tests.api.access.conftest import MakeKey
from tests.support.changed_settings import changed
from tests.support.fake_clock import FakeClock


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # One request per key, so that checking again must not count.
    return changed(settings, events__poll_seconds=0.02, access__requests_per_second=0.001, access__request_burst=1)


@pytest.fixture
def monotonic() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(secured: FastAPI, secured_settings: Settings, monotonic: FakeClock) -> FastAPI:
    """The application that `server` serves."""
    services = secured.state.services
    gatekeeper = Gatekeeper(services.database, secured_settings.access, secured_settings.oidc, time.time, monotonic)
    secured.state.services = replace(services, gatekeeper=gatekeeper)
    return secured


@contextmanager
def follow(server: str, key: str) -> Iterator[Iterator[str]]:
    """The non-empty lines of all events, from the first on."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.stream("GET", f"{server}/events/stream?after=0", headers=headers, timeout=10) as response:
        assert response.status_code == 200
        yield (line for line in response.iter_lines() if line)


def tell(app: FastAPI, message: str) -> None:
    with app.state.services.database.write() as session:
        add_event(session, None, time.time(), EventKind.PROMOTED, message)


def wait_for(message: str, lines: Iterator[str]) -> None:
    assert any(f'"message":"{message}"' in line for line in lines)


def test_a_good_key_keeps_its_stream(app: FastAPI, server: str, make_key: MakeKey, monotonic: FakeClock) -> None:
    with follow(server, make_key("admin")) as lines:
        for message in ("first", "second", "third"):
            tell(app, message)
            wait_for(message, lines)
            monotonic.advance(LOOK_EVERY_SECONDS)


@pytest.mark.attack
def test_a_revoked_key_is_told_nothing_more(app: FastAPI, server: str, make_key: MakeKey, monotonic: FakeClock) -> None:
    key = make_key("admin")
    with follow(server, key) as lines:
        tell(app, "before")
        wait_for("before", lines)
        app.state.services.keys.revoke_key(f"key-{key.split('_')[1]}")
        monotonic.advance(LOOK_EVERY_SECONDS)
        tell(app, "after")
        assert list(lines) == ["id: 1"]  # that of "before", which follows its data


@pytest.mark.attack
def test_a_silent_stream_of_a_revoked_key_ends(
    app: FastAPI, server: str, make_key: MakeKey, monotonic: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runs.event_feed.HEARTBEAT_SECONDS", 0.02)
    key = make_key("admin")
    with follow(server, key) as lines:
        wait_for_heartbeat(lines)
        app.state.services.keys.revoke_key(f"key-{key.split('_')[1]}")
        monotonic.advance(LOOK_EVERY_SECONDS)
        assert set(lines) <= {": still here"}


def test_heartbeats_go_on_while_the_database_is_away(
    app: FastAPI, server: str, make_key: MakeKey, monotonic: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runs.event_feed.HEARTBEAT_SECONDS", 0.02)

    def away(*_: Any) -> None:
        raise DatabaseUnavailable("away")

    with follow(server, make_key("admin")) as lines:
        wait_for_heartbeat(lines)
        monkeypatch.setattr(Gatekeeper, "_authenticate", away)
        monotonic.advance(LOOK_EVERY_SECONDS)
        for _ in range(3):
            wait_for_heartbeat(lines)


def wait_for_heartbeat(lines: Iterator[str]) -> None:
    assert any(line == ": still here" for line in lines)
