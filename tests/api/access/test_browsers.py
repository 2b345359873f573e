"""The web page with authentication, and what pages of other sites cannot do."""

import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from tests.api.access.conftest import MakeKey

HTML = {"Accept": "text/html,*/*"}


def log_in(client: TestClient, key: str, target: str = "/ui/runs/run-1") -> str:
    answer = client.post("/ui/login", data={"key": key, "next": target})
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"] == target
    return answer.headers["Set-Cookie"]


def test_a_page_answers_401_with_a_form_that_leads_back(anonymous: TestClient) -> None:
    page = anonymous.get("/ui/runs/run-1?x=1", headers=HTML)
    assert page.status_code == 401
    assert 'action="/ui/login"' in page.text
    assert 'value="/ui/runs/run-1?x=1"' in page.text
    assert "script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.attack
def test_a_key_opens_a_session_in_a_cookie_that_scripts_and_other_sites_cannot_use(
    anonymous: TestClient, make_key: MakeKey
) -> None:
    key = make_key("viewer")
    cookie = log_in(anonymous, key)
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert key.split("_", 2)[2] not in cookie
    assert anonymous.get("/", headers=HTML).status_code == 200
    assert anonymous.get("/ui/static/page.js").status_code == 200
    assert anonymous.get("/me").json()["kind"] == "session"
    assert anonymous.post("/runs/run-1/cancel").status_code == 403


@pytest.mark.attack
def test_logging_out_ends_the_session_itself(anonymous: TestClient, make_key: MakeKey) -> None:
    log_in(anonymous, make_key("viewer"))
    stolen = dict(anonymous.cookies)
    assert anonymous.post("/ui/logout").status_code == 303
    assert not anonymous.cookies
    anonymous.cookies.update(stolen)
    assert anonymous.get("/me").status_code == 401


@pytest.mark.attack
def test_revoking_the_key_ends_its_sessions(
    anonymous: TestClient, make_key: MakeKey, as_key: Callable[..., TestClient]
) -> None:
    key = make_key("viewer")
    log_in(anonymous, key)
    as_key("admin").delete(f"/keys/key-{key.split('_')[1]}")
    assert anonymous.get("/me").status_code == 401


def test_a_wrong_key_gets_the_form_again(anonymous: TestClient) -> None:
    answer = anonymous.post("/ui/login", data={"key": "nsk_nonsense", "next": "/"})
    assert answer.status_code == 401
    assert "unknown, expired or revoked" in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.attack
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x", ""])
def test_a_login_leads_to_no_other_site(anonymous: TestClient, make_key: MakeKey, target: str) -> None:
    answer = anonymous.post("/ui/login", data={"key": make_key("viewer"), "next": target})
    assert answer.headers["Location"] == "/"


@pytest.mark.attack
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://testserver:81"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Authorization": "Basic YTpi", "Origin": "https://evil.example"},
        {"Authorization": "Bearer", "Origin": "https://evil.example"},
    ],
)
def test_a_page_of_another_site_changes_nothing_here(client: TestClient, run_id: str, headers: dict[str, str]) -> None:
    refused = client.post(f"/runs/{run_id}/cancel", headers=headers)
    assert refused.status_code == 403
    assert client.get(f"/runs/{run_id}").json()["state"] == "running"
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    assert client.post(f"/runs/{run_id}/cancel", headers=own).status_code == 202


def test_what_the_browser_says_of_the_page_is_believed_before_its_origin(client: TestClient, run_id: str) -> None:
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert client.post(f"/runs/{run_id}/cancel", headers=own).status_code == 202


@pytest.mark.attack
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "[::1", "x@evil.example"])
def test_without_authentication_only_loopbacks_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/runs", headers={"Host": host}).status_code == 403
    for own in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"):
        assert client.get("/runs", headers={"Host": own}).status_code == 200, own
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.attack
def test_without_authentication_another_machine_gets_nothing(app: object) -> None:
    with TestClient(app, client=("192.0.2.7", 4000)) as elsewhere:  # type: ignore[arg-type]
        assert elsewhere.get("/runs").status_code == 403
    with TestClient(app, client=("127.0.0.1", 4000)) as here:  # type: ignore[arg-type]
        assert here.get("/runs").status_code == 200


def test_every_answer_has_security_headers_and_pages_say_what_they_load(client: TestClient) -> None:
    for path in ("/runs", "/nowhere", "/healthz", "/ui/static/page.js"):
        answer = client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["X-Frame-Options"] == "DENY", path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
    docs = client.get("/docs")
    [nonce] = re.findall(r'<script nonce="([^"]+)">', docs.text)
    assert f"'nonce-{nonce}'" in docs.headers["Content-Security-Policy"]
    assert docs.text != client.get("/docs").text
