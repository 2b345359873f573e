"""The service with a real Ray head that requires a token, and with one that does not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from noisy_student.local.stack import LocalStack
from service.config.access import KeyRequest
from service.store.migrate import upgrade
from tests.support.changed_settings import settings_of
from workers.data.dataset_roots import stage_environment


def service(home: Path, ray_jobs_url: str, token: str) -> TestClient:
    """The service with authentication on, and a client with a viewer's key."""
    settings = settings_of(home=home, access__authentication=True, ray__jobs_url=ray_jobs_url, ray__auth_token=token)
    upgrade(settings.database_url)
    app = create_app(settings)
    key = app.state.services.keys.create_key(KeyRequest(name="test", scope="viewer", project=None), "the test").key
    return TestClient(app, headers={"Authorization": f"Bearer {key}"})


def test_the_head_is_ready_and_its_dashboard_is_read_through_the_service(stack: LocalStack, tmp_path: Path) -> None:
    with service(tmp_path, stack.dashboard_url, stack.ray.token) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200, ready.text
        page = client.get("/ray/")
        assert "Ray Dashboard" in page.text
        script = page.text.split('src="./', 1)[1].split('"', 1)[0]
        assert "javascript" in client.get(f"/ray/{script}").headers["Content-Type"]
        assert client.get("/ray/api/version").json()["ray_version"].startswith("2.")
        assert isinstance(client.get("/ray/api/jobs/").json(), list)
        assert client.get("/ray/nodes?view=summary").json()["result"] is True
        assert client.post("/ray/api/jobs/", json={"entrypoint": "id"}).status_code == 405


def test_a_wrong_token_is_not_ready(stack: LocalStack, tmp_path: Path) -> None:
    with service(tmp_path, stack.dashboard_url, "wrong") as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "NOISY_STUDENT_RAY__AUTH_TOKEN" in answer.text


def test_a_head_that_asks_for_no_token_is_not_ready(open_head: str, tmp_path: Path) -> None:
    with service(tmp_path, open_head, "any") as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "answers without a token" in answer.text


@pytest.fixture
def open_head(tmp_path: Path) -> Iterator[str]:
    """A head as plain `ray start` makes it, whose dashboard responds to anyone."""
    with OpenHead(tmp_path / "open", num_cpus=1) as head:
        yield head.dashboard_url


class OpenHead(LocalStack):
    """Runs only the stack's Ray head, without a token."""

    def start_ray(self) -> None:
        self.ray.head_environment = lambda: {"RAY_AUTH_MODE": "disabled"}
        super().start_ray()

    def start(self) -> None:
        (self.home / "logs").mkdir(parents=True)
        self.start_ray()
        self._wait_for("Ray's jobs API", f"{self.dashboard_url}/api/version", "ray")


_READS_OUTSIDE = """
import ray
from workers.runtime.cluster import join_cluster
from workers.data.dataset_roots import OutsideOfRoots, check_place

join_cluster()

@ray.remote(num_cpus=0.1)
def read(uri):
    try:
        check_place(uri)
    except OutsideOfRoots:
        return "refused"
    return "read"

print(ray.get([read.remote("/data/a.parquet"), read.remote("/etc/passwd")]))
"""


def test_the_roots_of_a_stage_hold_in_its_ray_workers(stack: LocalStack) -> None:
    environment = {
        **os.environ,
        **stack.environment(),
        **stage_environment(["/data"]),
        "RAY_ADDRESS": stack.ray_address,
    }
    done = subprocess.run(
        [sys.executable, "-c", _READS_OUTSIDE], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip().endswith("['read', 'refused']"), done.stderr
