"""One caller cannot take what all others need: streams, stored responses, receivers. Keys end with their creator."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.access.stream_places import StreamPlaces
from service.datasets.registration.inspector_pool import InspectorPool
from service.datasets.registration.messages import DatasetSummary, InspectionJob
from service.errors import TooManyRequests
from service.settings import Settings
from service.wiring import open_services
from tests.api.access.conftest import AsKey, MakeKey
from tests.api.test_registration_line import HeldInspectors
from tests.support.changed_settings import changed, changed_anew

pytestmark = pytest.mark.attack


@pytest.fixture
def app(secured: FastAPI, secured_settings: Settings) -> FastAPI:
    """The application that `server` serves."""
    few = changed(secured_settings, events__max_streams_of_caller=2, events__max_streams=5)
    secured.state.services = open_services(few, ray_jobs=secured.state.services.ray_jobs)
    return secured


def test_one_viewer_does_not_take_all_event_streams(server: str, make_key: MakeKey) -> None:
    greedy, other = ({"Authorization": f"Bearer {make_key('viewer')}"} for _ in range(2))
    url = f"{server}/events/stream"
    lines = []
    with ExitStack() as streams:
        for headers in (greedy, greedy, other):
            answer = streams.enter_context(httpx.stream("GET", url, headers=headers, timeout=20))
            assert answer.status_code == 200
            lines.append(answer.iter_lines())  # keep a reference, because a released iterator ends its stream
            assert next(lines[-1]).startswith("retry")
        refused = httpx.get(url, headers=greedy, timeout=20)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
        assert httpx.get(f"{server}/me", headers=greedy, timeout=20).status_code == 200


def test_places_are_given_back() -> None:
    places = StreamPlaces(most=3, most_of_caller=2)
    assert [places.take(caller) for caller in ("a", "a", "b", "c")] == [True, True, True, False]
    with pytest.raises(TooManyRequests):
        places.take("a")
    places.give_back("a")
    assert [places.take(caller) for caller in ("a", "b")] == [True, False]


def test_answers_to_repeat_are_kept_for_a_caller_up_to_a_limit(
    as_key: AsKey, run_body: Callable[[TestClient], dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.idempotency.MAX_ANSWERS_OF_CALLER", 2)
    greedy, other = as_key("operator"), as_key("operator")
    run = greedy.post("/runs", json=run_body(greedy)).json()["id"]
    codes = [greedy.post(f"/runs/{run}/pause", headers={"Idempotency-Key": str(key)}).status_code for key in range(4)]
    assert codes == [202, 202, 429, 429]
    assert greedy.post(f"/runs/{run}/pause", headers={"Idempotency-Key": "0"}).status_code == 202
    assert greedy.post(f"/runs/{run}/pause").status_code == 202
    assert other.post(f"/runs/{run}/pause", headers={"Idempotency-Key": "other"}).status_code == 202


def test_webhooks_are_limited(
    secured: FastAPI, secured_settings: Settings, as_key: AsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = as_key("admin")
    few = changed_anew(secured_settings, webhooks__max_webhooks=2, webhooks__private_networks=("127.0.0.0/8",))
    secured.state.services = open_services(few, ray_jobs=secured.state.services.ray_jobs)
    made = [admin.post("/webhooks", json={"url": "http://127.0.0.1:1/"}) for _ in range(3)]
    assert [answer.status_code for answer in made] == [201, 201, 409]
    assert made[0].headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "kinds", [["x" * 101], ["a"] * 101, [""], ["run\x1b"], ["Run"], [], ["a b"]], ids=lambda kinds: str(kinds)[:10]
)
def test_kinds_of_events_are_words(as_key: AsKey, kinds: list[str]) -> None:
    answer = as_key("admin").post("/webhooks", json={"url": "https://example.com/", "kinds": kinds})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("kinds")


def test_revoking_a_key_may_revoke_all_that_come_of_it(anonymous: TestClient, as_key: AsKey) -> None:
    def make(maker: TestClient, scope: str = "admin") -> tuple[str, TestClient]:
        made = maker.post("/keys", json={"name": "k", "scope": scope, "project": None}).json()
        return made["id"], TestClient(anonymous.app, headers={"Authorization": f"Bearer {made['key']}"})

    root = as_key("admin")
    child, child_client = make(root)
    _, grandchild = make(child_client)
    _, great_grandchild = make(grandchild, "viewer")
    _, brother = make(root)
    assert root.delete(f"/keys/{child}").status_code == 200
    assert [client.get("/me").status_code for client in (child_client, grandchild, great_grandchild)] == [401, 200, 200]
    assert root.delete(f"/keys/{child}?with_made=true").json()["id"] == child
    assert [client.get("/me").status_code for client in (grandchild, great_grandchild)] == [401, 401]
    assert [client.get("/me").status_code for client in (brother, root)] == [200, 200]


def test_answers_are_kept_by_nobody_and_pages_are_asked_for_again(as_key: AsKey) -> None:
    viewer = as_key("viewer")
    for path, kept in (("/me", "no-store"), ("/runs", "no-store"), ("/nothing", "no-store"), ("/", "no-cache")):
        assert viewer.get(path).headers["Cache-Control"] == kept, path
    assert viewer.get("/ui/static/page.js").headers["Cache-Control"] == "no-cache"


def test_behind_tls_browsers_are_told_to_stay_there(secured: FastAPI) -> None:
    with TestClient(secured, base_url="https://testserver") as secure, TestClient(secured) as plain:
        assert "max-age=" in secure.get("/healthz").headers["Strict-Transport-Security"]
        assert "Strict-Transport-Security" not in plain.get("/healthz").headers


def test_logins_of_a_key_are_bounded_and_count_for_it(
    secured: FastAPI,
    secured_settings: Settings,
    anonymous: TestClient,
    make_key: MakeKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.access.web.sessions.MOST_OF_KEY", 3)
    few = changed(secured_settings, access__request_burst=10, access__requests_per_second=0.01)
    key, other = make_key("viewer"), make_key("viewer")
    secured.state.services = open_services(few, ray_jobs=secured.state.services.ray_jobs)
    kept = login(anonymous, other)
    cookies = [login(anonymous, key) for _ in range(5)]
    assert [me(anonymous, cookie) for cookie in cookies] == [401, 401, 200, 200, 200]
    assert me(anonymous, kept) == 200
    codes = [anonymous.post("/ui/login", data={"key": key}).status_code for _ in range(4)]
    assert codes == [303, 303, 429, 429]
    assert me(anonymous, kept) == 200


def login(client: TestClient, key: str) -> str:
    answer = client.post("/ui/login", data={"key": key})
    assert answer.status_code == 303, answer.text
    return str(answer.cookies["noisy_student_session"])


def me(client: TestClient, cookie: str) -> int:
    client.cookies.clear()
    return client.get("/me", headers={"Cookie": f"noisy_student_session={cookie}"}).status_code


class HeldByName(HeldInspectors):
    """Blocks every call named `hangs`."""

    def inspect(self, job: InspectionJob) -> DatasetSummary:
        return super().inspect(job) if job.request.name == "hangs" else InspectorPool.inspect(self, job)


def test_one_caller_does_not_take_all_places_of_registration(
    secured: FastAPI, secured_settings: Settings, make_key: MakeKey, tmp_path: Path
) -> None:
    inspectors = HeldByName(secured_settings)
    greedy, other = ({"Authorization": f"Bearer {make_key('operator')}"} for _ in range(2))
    secured.state.services = open_services(
        secured_settings, ray_jobs=secured.state.services.ray_jobs, inspectors=inspectors
    )
    uri = str(tmp_path / "images" / "nowhere")
    body = {"name": "hangs", "role": "unlabeled", "uri": uri}

    async def others_answer() -> int:
        transport = httpx.ASGITransport(secured)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://testserver", timeout=None) as client,
            anyio.create_task_group() as registering,
        ):

            async def register() -> None:
                await client.post("/datasets", json=body, headers=greedy)

            for _ in range(20):
                registering.start_soon(register)
            try:
                with anyio.fail_after(20):
                    while inspectors.looking < secured_settings.registration.processes:
                        await anyio.sleep(0.01)
                    answer = await client.post("/datasets", json={**body, "name": "mine"}, headers=other)
            finally:
                inspectors.let_go()
        return answer.status_code

    assert anyio.run(others_answer) == 422
