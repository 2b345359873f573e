"""Which requests are repeated, and how streams and waits continue, against a real server that misbehaves."""

import asyncio
import json
from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from noisy_student import (
    ApiError,
    AsyncClient,
    Client,
    NotFound,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimedOut,
)
from noisy_student.connection import Connection
from noisy_student.steps import Answered, Emit, Listen, NextLine, Request, Send, Sleep, Steps, follow, patiently
from noisy_student.waiting import wait_for_end
from tests.support.fake_clock import FakeClock
from tests.support.scripted_server import Said, scripted_server

HEALTHY = Said(200, '{"status": "ok"}')
SILENCE = Said(0)
RUN = Said(201, "not read")


def _problem(status: int, **headers: str) -> Said:
    document = {"type": "urn:x", "title": "T", "status": status, "detail": "D", "instance": "/", "errors": []}
    return Said(status, json.dumps(document), {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the pauses of the sync client instead of sleeping."""
    pauses: list[float] = []
    monkeypatch.setattr("noisy_student.transport.time", SimpleNamespace(sleep=pauses.append))
    return pauses


@pytest.mark.parametrize("trouble", [SILENCE, _problem(503), Said(502, "<html>"), _problem(429, Retry_After="1")])
def test_a_safe_request_is_sent_again(trouble: Said, slept: list[float]) -> None:
    with scripted_server(trouble, trouble, HEALTHY) as server, Client(server.url) as api:
        assert api.service.health().status == "ok"
    assert len(server.asked) == 3
    assert len(slept) == 2


def test_the_async_client_sends_it_again_too() -> None:
    async def work(url: str) -> None:
        async with AsyncClient(url) as api:
            assert (await api.service.health()).status == "ok"

    with scripted_server(SILENCE, HEALTHY) as server:
        asyncio.run(asyncio.wait_for(work(server.url), 30))
    assert len(server.asked) == 2


def test_the_pause_is_what_the_service_asks_for(slept: list[float]) -> None:
    with scripted_server(_problem(503, Retry_After="7"), HEALTHY) as server, Client(server.url) as api:
        api.service.health()
    assert slept == [7.0]


def test_in_the_end_the_trouble_is_raised(slept: list[float]) -> None:
    with scripted_server(SILENCE) as server, Client(server.url, retries=1) as api, pytest.raises(Unreachable):
        api.service.health()
    assert len(server.asked) == 2
    with (
        scripted_server(_problem(429, Retry_After="600")) as server,
        Client(server.url) as api,
        pytest.raises(TooManyRequests) as refused,
    ):
        api.service.health()
    assert (refused.value.retry_after_seconds, len(server.asked)) == (600.0, 1)


def test_a_post_is_sent_again_with_the_same_idempotency_key(slept: list[float]) -> None:
    with scripted_server(SILENCE, RUN) as server, Client(server.url) as api, pytest.raises(UnexpectedAnswer):
        api.runs.create({"name": "x"})
    first, second = [each.headers["Idempotency-Key"] for each in server.asked]
    assert first == second
    assert json.loads(server.asked[1].body) == {"name": "x"}


@pytest.mark.parametrize("call", ["change", "apply"])
def test_what_has_no_idempotency_key_is_sent_once(call: str, slept: list[float]) -> None:
    with scripted_server(SILENCE) as server, Client(server.url) as api, pytest.raises(Unreachable):
        api.runs.change("run-1", {"priority": 1}) if call == "change" else api.retention.apply()
    assert len(server.asked) == 1


def test_what_a_newer_service_answers_more_is_left_out() -> None:
    caller = {"subject": "key-1", "kind": "key", "scope": "viewer", "projects": None, "mood": "good"}
    newer = Said(200, json.dumps(caller)), Said(200, _event(1).replace('"kind"', '"mood": 1, "kind"'))
    with scripted_server(*newer) as server, Client(server.url) as api:
        assert api.service.me().subject == "key-1"
        assert next(api.events.follow()).id == 1


def test_something_else_than_the_api_is_said_to_be_so() -> None:
    for said in (Said(200, "<html>"), Said(418, "tea"), Said(200, '{"status": "fine"}'), Said(307)):
        with (
            scripted_server(said) as server,
            Client(server.url) as api,
            pytest.raises(UnexpectedAnswer, match="is it the API"),
        ):
            api.service.health()


def test_the_key_is_sent_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(HEALTHY) as server:
        with Client(server.url, "nsk_given") as api:
            api.service.health()
            assert "nsk_given" not in repr(api._way.connection)
        monkeypatch.setenv("NOISY_STUDENT_API_KEY", "nsk_of_the_environment")
        monkeypatch.setenv("NOISY_STUDENT_API", server.url)
        with Client() as api:
            api.service.health()
    assert [each.headers["Authorization"] for each in server.asked] == [
        "Bearer nsk_given",
        "Bearer nsk_of_the_environment",
    ]


def _event(number: int) -> str:
    event = {"id": number, "run_id": "r", "at": "2026-01-01T00:00:00Z", "generation": None, "stage": None}
    return f"id: {number}\ndata: {json.dumps({**event, 'attempt': None, 'kind': 'run_created', 'message': ''})}\n\n"


def test_a_stream_goes_on_after_the_last_event_where_the_connection_is_lost(slept: list[float]) -> None:
    head = {"Content-Type": "text/event-stream"}
    first = Said(200, f"retry: 2000\n\n: still here\n\n{_event(7)}{_event(8)}id: 9\ndata: {{cut off", head)
    with (
        scripted_server(first, SILENCE, _problem(503), Said(200, _event(9), head)) as server,
        Client(server.url) as api,
    ):
        seen = [event.id for event in islice(api.runs.follow_events("run-1", after=6), 3)]
    assert seen == [7, 8, 9]
    assert [each.headers.get("Last-Event-ID") for each in server.asked] == ["6", "8", "8", "8"]
    assert all(pause >= 2 for pause in slept)


def test_a_stream_that_is_refused_at_first_is_an_error() -> None:
    for said, kind in ((_problem(404), NotFound), (_problem(503), Unavailable), (SILENCE, Unreachable)):
        with scripted_server(said) as server, Client(server.url) as api, pytest.raises(kind):
            next(api.events.follow())


def _steps_taken(steps: Steps[Any], comes: Iterator[Any], clock: FakeClock) -> list[Any]:
    """Walks the steps with a fake clock. Steps that send or read get the given outcomes; exceptions are thrown."""
    taken: list[Any] = []
    came: Any = None
    error: ApiError | None = None
    while True:
        step = steps.send(came) if error is None else steps.throw(error)
        came, error = None, None
        taken.append(step)
        match step:
            case Sleep(seconds):
                clock.advance(seconds)
            case Send() | Listen() | NextLine():
                came = next(comes)
                if isinstance(came, ApiError):
                    came, error = None, came
            case Emit():
                pass


def test_a_stream_gives_up_where_the_api_stays_away() -> None:
    clock = FakeClock()
    connection = Connection("http://api", None, patience_seconds=60)
    steps = follow(connection, Request("GET", "/events/stream", {}, {}), None, str, clock)

    def comes() -> Iterator[Any]:
        yield from [Answered(200, {}, b""), "id: 1", "data: x", ""]
        while True:
            yield Unreachable("away")

    with pytest.raises(Unreachable):
        _steps_taken(steps, comes(), clock)
    assert 60 < clock() - FakeClock()() < 64


@pytest.mark.parametrize(("timeout_seconds", "kind", "after"), [(30.0, WaitTimedOut, 30), (None, Unreachable, 60)])
def test_a_wait_ends_while_the_api_is_away(timeout_seconds: float | None, kind: type[ApiError], after: float) -> None:
    clock = FakeClock()
    connection = Connection("http://api", None, patience_seconds=60)

    def look() -> Steps[Any]:
        yield Send(Request("GET", "/", {}, {}))

    def comes() -> Iterator[Any]:
        while True:
            yield Unreachable("away")

    with pytest.raises(kind):
        _steps_taken(wait_for_end(connection, look, None, None, timeout_seconds, 1.0, clock), comes(), clock)
    assert after <= clock() - FakeClock()() <= after + 1


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://x", "http://", "http://[::1", "http://x:port", "", "x"])
def test_what_is_no_address_is_said_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_API", address or " ")
    for given in (address, None):
        if given != "":
            with pytest.raises(ApiError, match="is no address of an API"):
                Client(given)


def test_a_key_with_a_line_feed_is_the_key_and_one_that_cannot_be_sent_is_refused() -> None:
    with scripted_server(HEALTHY) as server, Client(server.url, "nsk_a\n") as api:
        api.service.health()
    assert server.asked[0].headers["Authorization"] == "Bearer nsk_a"
    for key in ("nsk_ä", "nsk_a\nX-Other: b"):
        with pytest.raises(ApiError, match="NOISY_STUDENT_API_KEY") as refused:
            Client(server.url, key)
        assert key not in str(refused.value)


def test_patience_ends_too() -> None:
    clock = FakeClock()

    def look() -> Steps[str]:
        yield Send(Request("GET", "/", {}, {}))
        return "here"

    def comes() -> Iterator[Any]:
        while True:
            yield Unreachable("away")

    with pytest.raises(Unreachable):
        _steps_taken(patiently(Connection("http://api", None, patience_seconds=60), look, 1.0, clock), comes(), clock)
    assert 60 <= clock() - FakeClock()() <= 61
