"""`python -m service.reconcile` as the process it is: killed, stopped, started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from service.run_config import RunConfig
from service.webhooks.commands import WebhookCommands
from service.webhooks.views import WebhookRequest
from tests.service.webhook_receiver import serving

REPOSITORY = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0
LEASE_SECONDS = 1.0
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start_reconciler(bench: Any, tmp_path: Path) -> Iterator[Start]:
    """Starts reconciler processes on the bench's database; none is left over."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "NOISY_STUDENT_HOME": str(bench.settings.home),
        "NOISY_STUDENT_DATABASE_URL": bench.settings.database_url,
        "NOISY_STUDENT_RAY_JOBS_URL": bench.ray.url,
        "NOISY_STUDENT_LEASE_SECONDS": str(LEASE_SECONDS),
        "NOISY_STUDENT_TICK_SECONDS": "0.02",
        "NOISY_STUDENT_WEBHOOK_PRIVATE_NETWORKS": '["127.0.0.0/8"]',
        "NOISY_STUDENT_RETENTION_MIN_AGE_SECONDS": "0",
    }

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / f"reconciler-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.reconcile"], cwd=REPOSITORY, env=environment, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS:.0f} s in vain for {what}"
        time.sleep(0.01)


def test_a_killed_reconciler_is_followed_by_one_that_goes_on(
    bench: Any, run_config: Callable[..., RunConfig], start_reconciler: Start
) -> None:
    """Kill -9 in the middle of every stage: no stage runs twice, none is lost."""
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config(generations=0, student_models=[])).id
    stages = ["g0-train", "g0-evaluate"]
    process = start_reconciler()
    for stage in stages:
        job_id = f"{run_id}-{stage}-a1"
        wait_until(lambda job_id=job_id: job_id in bench.ray.jobs, job_id)
        process.kill()
        process.wait()
        bench.ray.write_result(job_id)  # the stage ends while nobody looks
        bench.ray.end(job_id)
        process = start_reconciler()

    wait_until(lambda: bench.queries.get_run(run_id).state == "succeeded", "the end of the run")
    ids = [body["submission_id"] for body in bench.ray.submits]
    assert sorted(set(ids)) == sorted(f"{run_id}-{stage}-a1" for stage in stages)
    # A submit may be repeated, with the same id, which Ray refuses; a second attempt may not.
    assert len(bench.ray.jobs) == len(stages)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sigterm_stops_it_cleanly_and_gives_its_runs_back(
    bench: Any, run_config: Callable[..., RunConfig], start_reconciler: Start
) -> None:
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config()).id
    process = start_reconciler()
    wait_until(lambda: f"{run_id}-g0-train-a1" in bench.ray.jobs, "the first submit")

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=DEADLINE_SECONDS) == 0
    bench.ray.write_result(f"{run_id}-g0-train-a1")
    bench.reconciler().tick()
    assert f"{run_id}-g0-evaluate-a1" in bench.ray.jobs


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_collects_artifacts_and_delivers_events_beside_reconciling(
    bench: Any, run_config: Callable[..., RunConfig], start_reconciler: Start
) -> None:
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config(generations=2)).id
    bench.play_to_the_end(bench.reconciler())
    label_file = Path(bench.settings.artifact_root) / "runs" / run_id / "gen-1" / "label" / "part-00000.parquet"
    label_file.write_bytes(b"labels")
    allowed = bench.settings.model_copy(update={"webhook_private_networks": (ip_network("127.0.0.0/8"),)})
    with serving() as server:
        WebhookCommands(bench.database, allowed).register(WebhookRequest(url=server.receiver.url))
        process = start_reconciler()
        wait_until(lambda: bool(server.receiver.received), "the event")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=DEADLINE_SECONDS) == 0

    assert not label_file.exists()
    [event] = server.receiver.events
    assert (event["kind"], event["message"]) == ("artifacts_collected", "labels: 1 file(s), 6 bytes")
