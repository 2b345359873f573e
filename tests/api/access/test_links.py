"""Links log a browser in once, for a short time, as the caller who asked for them."""

from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import update

from service.access.api_keys import split_key
from service.access.web.links import LINK_SECONDS, WebLinks
from service.store.database import Database
from service.store.schema.caller_tables import WebLinkRow
from tests.api.access.conftest import AsKey, MakeKey
from tests.support.fake_clock import FakeClock

pytestmark = pytest.mark.attack


def link_of(client: TestClient, path: str = "/ui/runs/run-1") -> str:
    answer = client.post("/ui/links", params={"next": path})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return str(answer.json()["path"])


def test_a_link_opens_a_session_of_its_maker_once(anonymous: TestClient, as_key: AsKey) -> None:
    link = link_of(as_key("operator"))
    answer = anonymous.get(link)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/runs/run-1")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert answer.headers["Cache-Control"] == "no-store"
    me = anonymous.get("/me").json()
    assert (me["kind"], me["scope"]) == ("session", "operator")

    anonymous.cookies.clear()
    again = anonymous.get(link)
    assert again.status_code == 401
    assert "has been used" in again.text
    assert "Set-Cookie" not in again.headers


def test_a_link_expires(secured: FastAPI, anonymous: TestClient, as_key: AsKey) -> None:
    link = link_of(as_key("viewer"))
    with secured.state.services.database.write() as session:
        session.execute(update(WebLinkRow).values(expires_at=1.0))
    assert anonymous.get(link).status_code == 401


def test_a_ticket_is_good_for_a_quarter_of_an_hour_and_is_stored_as_a_hash(secured: FastAPI, make_key: MakeKey) -> None:
    database: Database = secured.state.services.database
    clock = FakeClock()
    key = split_key(make_key("viewer"))
    assert key is not None
    links, key_id = WebLinks(database, clock), key[0]
    early, late = links.make(key_id), links.make(key_id)
    with database.read() as session:
        stored = [row.ticket_hash for row in session.query(WebLinkRow)]
    assert len(stored) == 2
    assert not {early, late} & set(stored)
    clock.advance(LINK_SECONDS - 1)
    assert links.take(early) == key_id
    clock.advance(1)
    assert links.take(late) is None


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_a_link_leads_to_no_other_place(anonymous: TestClient, as_key: AsKey, target: str) -> None:
    ticket = parse_qs(urlsplit(link_of(as_key("viewer"), target)).query)["ticket"][0]
    answer = anonymous.get("/ui/enter", params={"ticket": ticket, "next": target})
    assert answer.headers["Location"] == "/"


def test_a_link_of_a_revoked_key_opens_nothing(anonymous: TestClient, as_key: AsKey) -> None:
    client = as_key("viewer")
    link = link_of(client)
    as_key("admin").delete(f"/keys/{client.get('/me').json()['subject']}")
    assert anonymous.get(link).status_code == 401


def test_who_guesses_a_ticket_does_not_hold_up_those_who_write(
    secured: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = secured.state.services.database
    monkeypatch.setattr(database, "write", lambda: pytest.fail("a guess has begun to write"))
    assert WebLinks(database).take("guessed") is None


def test_a_session_makes_no_further_sessions(anonymous: TestClient, as_key: AsKey) -> None:
    """Otherwise a stolen cookie would stay valid forever, whatever `session_hours` and logout say."""
    anonymous.get(link_of(as_key("admin")))
    assert anonymous.get("/me").json()["kind"] == "session"
    assert anonymous.post("/ui/links").status_code == 403


def test_nobody_without_a_key_gets_a_link(anonymous: TestClient) -> None:
    assert anonymous.post("/ui/links").status_code == 401


def test_without_authentication_there_is_nobody_to_make_a_link_for(client: TestClient) -> None:
    assert client.post("/ui/links").status_code == 403
