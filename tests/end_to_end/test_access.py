"""A real Ray head that asks for a token, behind the service; and one that does not."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.cli.local_stack import LocalStack
from service.access.key_commands import KeyRequest
from service.errors import RayUnavailable
from service.ray_jobs import RayJobs
from service.settings import Settings
from service.store.migrate import upgrade
from workers.data.dataset_roots import stage_environment


class GuardedHead(LocalStack):
    """The stack's Ray head alone, with RAY_AUTH_MODE=token."""

    token = secrets.token_hex(16)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def start(self) -> None:
        (self.home / "logs").mkdir(parents=True)
        self.start_ray()
        jobs = RayJobs(self.dashboard_url, self.token)
        deadline = time.monotonic() + 60
        while True:
            try:
                jobs.version()
                return
            except RayUnavailable:
                assert time.monotonic() < deadline, "the guarded head did not start"
                time.sleep(0.2)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedHead]:
    with GuardedHead(tmp_path_factory.mktemp("guarded"), num_cpus=1) as head:
        yield head


def service(home: Path, ray_jobs_url: str, token: str) -> TestClient:
    """The service with authentication on, and a client with a viewer's key."""
    settings = Settings(home=home, authentication=True, ray_jobs_url=ray_jobs_url, ray_auth_token=token)
    upgrade(settings.database_url)
    app = create_app(settings)
    key = app.state.services.keys.create_key(KeyRequest(name="test", scope="viewer", project=None), "the test").key
    return TestClient(app, headers={"Authorization": f"Bearer {key}"})


def test_a_guarded_head_is_ready_and_its_dashboard_is_read_through_the_service(guarded: GuardedHead, tmp_path: Path):
    with service(tmp_path, guarded.dashboard_url, guarded.token) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200, ready.text
        page = client.get("/ray/")
        assert "Ray Dashboard" in page.text
        script = page.text.split('src="./', 1)[1].split('"', 1)[0]
        assert "javascript" in client.get(f"/ray/{script}").headers["Content-Type"]
        assert client.get("/ray/api/version").json()["ray_version"].startswith("2.")
        assert client.get("/ray/api/jobs/").json() == []
        assert client.get("/ray/nodes?view=summary").json()["result"] is True
        assert client.post("/ray/api/jobs/", json={"entrypoint": "id"}).status_code == 405


def test_a_wrong_token_is_not_ready(guarded: GuardedHead, tmp_path: Path):
    with service(tmp_path, guarded.dashboard_url, "wrong") as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "NOISY_STUDENT_RAY_AUTH_TOKEN" in answer.text


def test_a_head_that_asks_for_no_token_is_not_ready(stack: LocalStack, tmp_path: Path):
    with service(tmp_path, stack.dashboard_url, "any") as client:
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "answers without a token" in answer.text


_READS_OUTSIDE = """
import ray
from workers.cluster import join_cluster
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


def test_the_roots_of_a_stage_hold_in_its_ray_workers(stack: LocalStack):
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
