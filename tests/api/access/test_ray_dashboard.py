"""Ray's dashboard through the service is read-only, with Ray's token and without the caller's credentials."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI
from pydantic import SecretStr, ValidationError

from service.config.settings.groups import RaySettings
from service.settings import Settings
from service.wiring import open_services
from tests.api.access.conftest import AsKey
from tests.support.application import StubRay
from tests.support.changed_settings import changed
from tests.support.served import served
from tests.support.stranger import stranger_at


@pytest.fixture
def head() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """A head that requires its token. Yields its address and the requests that it received."""
    asked: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            allowed = self.headers.get("Authorization") == "Bearer ray-secret"
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Set-Cookie", "ray-authentication-token=ray-secret")
            self.send_header("X-Secret", "inside")
            self.end_headers()
            self.wfile.write(json.dumps({"ray_version": "2.60.0", "path": self.path}).encode())

        def log_message(self, *_: object) -> None:
            """Discards the access log."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}", asked


@pytest.fixture
def behind(secured: FastAPI, secured_settings: Settings, head: tuple[str, list[tuple[str, dict[str, str]]]]) -> FastAPI:
    settings = changed(secured_settings, ray__jobs_url=head[0], ray__auth_token=SecretStr("ray-secret"))
    secured.state.services = open_services(settings)
    return secured


@pytest.mark.attack
def test_a_get_is_passed_on_with_rays_token_only(
    behind: FastAPI, as_key: AsKey, head: tuple[str, list[tuple[str, dict[str, str]]]]
) -> None:
    client = as_key("viewer")
    client.cookies.set("noisy_student_session", "mine")
    answer = client.get("/ray/api/v0/tasks?limit=7&detail=1", headers={"X-Forwarded-For": "x"})
    assert answer.json()["path"] == "/api/v0/tasks?limit=7&detail=1"
    assert "Set-Cookie" not in answer.headers
    assert "X-Secret" not in answer.headers
    [(_, headers)] = head[1]
    assert headers["authorization"] == "Bearer ray-secret"
    assert not {"cookie", "x-forwarded-for", "origin"} & set(headers)


@pytest.mark.attack
def test_the_dashboards_scripts_may_ask_for_its_own_part_only(behind: FastAPI, as_key: AsKey) -> None:
    policy = as_key("viewer").get("/ray/").headers["Content-Security-Policy"]
    assert "connect-src http://testserver/ray/;" in policy
    assert "form-action 'none'" in policy


@pytest.mark.attack
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(
    behind: FastAPI, as_key: AsKey, head: tuple[str, list[tuple[str, dict[str, str]]]], method: str
) -> None:
    for path in ("/ray/api/jobs/", "/ray/api/jobs/x/stop", "/ray/api/serve/applications/"):
        assert as_key("admin").request(method, path).status_code == 405, path
    assert head[1] == []


@pytest.mark.attack
@pytest.mark.parametrize(
    "path",
    [
        "worker/traceback",
        "worker/cpu_profile",
        "task/cpu_profile",
        "memory_profile",
        "api/packages/gcs/x.zip",
        "api/v0/delay/5",
        "test/dump",
        "static/../api/packages/x",
        "static/%2e%2e/api/packages/x",
        "api/authenticate",
        "api/jobs/a/b/c",
        "//evil.example/",
    ],
)
def test_what_is_not_listed_is_not_there(
    behind: FastAPI, as_key: AsKey, head: tuple[str, list[tuple[str, dict[str, str]]]], path: str
) -> None:
    assert as_key("admin").get(f"/ray/{path}").status_code == 404
    assert head[1] == []


def test_the_front_end_is_not_made_to_ask_for_rays_token(
    behind: FastAPI, as_key: AsKey, head: tuple[str, list[tuple[str, dict[str, str]]]]
) -> None:
    answer = as_key("viewer").get("/ray/api/authentication_mode")
    assert answer.json() == {"authentication_mode": "disabled"}
    assert head[1] == []


@pytest.mark.attack
def test_who_is_limited_to_a_project_does_not_see_the_jobs_of_all(
    behind: FastAPI, as_key: AsKey, head: tuple[str, list[tuple[str, dict[str, str]]]]
) -> None:
    assert as_key("admin", "pets").get("/ray/api/jobs/").status_code == 403
    assert head[1] == []


def test_a_head_that_is_away_is_503(secured: FastAPI, as_key: AsKey) -> None:
    answer = as_key("viewer").get("/ray/")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_ready_only_where_ray_asks_for_its_token(behind: FastAPI, as_key: AsKey, ray: StubRay) -> None:
    client = as_key("viewer")
    assert client.get("/readyz").status_code == 200
    settings = behind.state.services.settings
    behind.state.services = open_services(settings, ray_jobs=ray)
    ray.protected = False
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "RAY_AUTH_MODE=token" in answer.json()["checks"][1]["detail"]
    assert client.get("/ray").headers["Location"] == "/ray/"


@pytest.mark.attack
def test_another_users_program_at_the_port_of_our_own_ray_is_not_asked(
    secured: FastAPI, secured_settings: Settings, as_key: AsKey
) -> None:
    with stranger_at("127.0.0.1") as port:
        url, token = f"http://127.0.0.1:{port}", SecretStr("s")
        settings = changed(secured_settings, ray__jobs_url=url, ray__auth_token=token, ray__is_own=True)
        secured.state.services = open_services(settings)
        answer = as_key("viewer").get("/ray/api/version")
    assert (answer.status_code, "does not answer" in answer.text) == (503, True)


@pytest.mark.attack
def test_frames_come_from_the_grafana_of_the_settings_and_else_from_nowhere(behind: FastAPI, as_key: AsKey) -> None:
    client, settings = as_key("viewer"), behind.state.services.settings
    closed = client.get("/ray/").headers["Content-Security-Policy"]
    assert "frame-src" not in closed
    assert closed.startswith("default-src 'none'; ")

    grafana = changed(settings, ray__grafana_url="https://grafana.example:3000/graphs")
    behind.state.services = open_services(grafana)
    opened = client.get("/ray/").headers["Content-Security-Policy"]
    assert opened.replace("frame-src https://grafana.example:3000/; ", "") == closed
    for page in ("/", "/ui/runs/run-1", "/docs"):
        assert "grafana" not in client.get(page).headers["Content-Security-Policy"], page


@pytest.mark.attack
@pytest.mark.parametrize(
    "url", ["https://g.example; script-src *", "https://g.example/ 'self'", "javascript:x", "https://u:p@g.example"]
)
def test_a_grafana_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="grafana_url"):
        RaySettings(grafana_url=url)


def test_a_head_request_is_passed_on_too(
    behind: FastAPI, as_key: AsKey, head: tuple[str, list[tuple[str, dict[str, str]]]]
) -> None:
    # By one, the front end learns which pages Ray has.
    answer = as_key("viewer").head("/ray/api/v0/platform_events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert [path.rstrip("?") for path, _ in head[1]] == ["/api/v0/platform_events"]
    assert as_key("viewer").head("/ray/test/dump").status_code == 404
