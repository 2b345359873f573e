"""`python -m service.reconcile` as a real process: killed, stopped, restarted."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.config.run import RunConfig
from service.config.stage_key import StageKey
from service.config.webhooks import WebhookRequest
from service.store.schema.reconciler_tables import LeaseRow
from tests.at_once import LONG_SECONDS, wait_until
from tests.support.changed_settings import changed
from tests.support.webhook_receiver import serving
from tests.support.workbench import Workbench

REPOSITORY = Path(__file__).parents[3]
LEASE_SECONDS = 2.0
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_reconciler(bench: Workbench, tmp_path: Path) -> Iterator[Start]:
    """Starts reconciler processes on the bench's database, and ends all of them."""
    started: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "NOISY_STUDENT_HOME": str(bench.settings.home),
        "NOISY_STUDENT_DATABASE_URL": bench.settings.database_url,
        "NOISY_STUDENT_RAY__JOBS_URL": bench.ray.url,
        "NOISY_STUDENT_RECONCILER__TICK_SECONDS": "0.02",
        "NOISY_STUDENT_WEBHOOKS__PRIVATE_NETWORKS": '["127.0.0.0/8"]',
        "NOISY_STUDENT_RETENTION__MIN_AGE_SECONDS": "0",
    }

    def start(lease_seconds: float = LEASE_SECONDS) -> subprocess.Popen[bytes]:
        with log_path(tmp_path, len(started)).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service.reconcile"],
                cwd=REPOSITORY,
                env={**environment, "NOISY_STUDENT_RECONCILER__LEASE_SECONDS": str(lease_seconds)},
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(timeout=LONG_SECONDS)


def log_path(folder: Path, number: int) -> Path:
    """The log of the reconciler that was started as number `number`, counted from 0."""
    return folder / f"reconciler-{number}.log"


def holder(bench: Workbench) -> tuple[int, str]:
    """The latest fencing token and its holder."""
    with bench.database.read() as session:
        row = session.execute(select(LeaseRow.fencing_token, LeaseRow.holder)).one()
        return row.fencing_token, row.holder


def lease_seconds_left(bench: Workbench) -> float:
    with bench.database.read() as session:
        return float(session.execute(select(LeaseRow.expires_at)).scalar_one()) - time.time()


def is_held_by(bench: Workbench, process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: holder(bench)[1].endswith(f"process {process.pid}")


def test_a_killed_reconciler_is_followed_by_one_that_goes_on(
    bench: Workbench, run_config: Callable[..., RunConfig], start_reconciler: Start
) -> None:
    """After a SIGKILL in the middle of every stage, no stage runs twice and none is lost."""
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config(generations=0, student_models=[])).id
    stages = ["g0-train", "g0-evaluate"]
    process = start_reconciler()
    for stage in stages:
        job_id = f"{run_id}-{stage}-a1"
        wait_until(partial(bench.ray.jobs.__contains__, job_id), job_id)
        process.kill()
        process.wait(timeout=LONG_SECONDS)
        bench.ray.write_result(job_id)  # the stage ends while no reconciler runs
        bench.ray.end(job_id)
        process = start_reconciler()

    wait_until(lambda: bench.queries.get_run(run_id).state == "succeeded", "the end of the run")
    # A submission may be repeated with the same id, which Ray refuses, but there must be no second attempt.
    ids = [body["submission_id"] for body in bench.ray.submits]
    assert sorted(set(ids)) == sorted(f"{run_id}-{stage}-a1" for stage in stages)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sigterm_stops_it_cleanly_and_gives_its_runs_back(
    bench: Workbench, run_config: Callable[..., RunConfig], start_reconciler: Start
) -> None:
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config()).id
    process = start_reconciler()
    wait_until(lambda: f"{run_id}-g0-train-a1" in bench.ray.jobs, "the first submit")

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=LONG_SECONDS) == 0
    bench.ray.write_result(f"{run_id}-g0-train-a1")
    bench.reconciler().tick()
    assert f"{run_id}-g0-evaluate-a1" in bench.ray.jobs


def test_a_second_reconciler_is_at_work_within_the_lease_of_one_that_was_killed(
    bench: Workbench, run_config: Callable[..., RunConfig], start_reconciler: Start, tmp_path: Path
) -> None:
    lease_seconds = 8.0
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config()).id
    first = start_reconciler(lease_seconds)
    wait_until(lambda: f"{run_id}-g0-train-a1" in bench.ray.jobs, "the first submit")
    second = start_reconciler(lease_seconds)
    # The takeover does not include the process's start, which takes seconds on a busy machine.
    wait_until(lambda: "standing by" in log_path(tmp_path, 1).read_text(), "the second to stand by")
    over_at = time.time() + lease_seconds_left(bench)
    wait_until(lambda: time.time() > over_at, "the end of the lease, which the first has renewed meanwhile")
    assert is_held_by(bench, first)()
    assert lease_seconds_left(bench) > 0

    bench.ray.write_result(f"{run_id}-g0-train-a1")
    # Allows three seconds for a busy machine to wake up the second reconciler, which is not the lease's fault.
    wait_until(lambda: lease_seconds_left(bench) < 0.65 * lease_seconds, "a renewal to be a while ago")
    first.kill()
    killed_at = time.monotonic()
    wait_until(is_held_by(bench, second), "the second to take over")

    assert time.monotonic() - killed_at < lease_seconds
    wait_until(lambda: f"{run_id}-g0-evaluate-a1" in bench.ray.jobs, "the second to go on")


def test_a_paused_reconciler_that_wakes_up_writes_nothing(
    bench: Workbench, run_config: Callable[..., RunConfig], start_reconciler: Start, tmp_path: Path
) -> None:
    """A reconciler is stopped while Ray tells it that the job is gone. It must not record that later."""
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config()).id
    job_id = f"{run_id}-g0-train-a1"
    first = start_reconciler()
    wait_until(lambda: bench.ray.jobs.get(job_id, {}).get("status") == "RUNNING", "the first submit")
    asked, go_on = threading.Event(), threading.Event()
    answer = bench.ray.answer

    def hold_up_once(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        if path == f"/api/jobs/{job_id}" and not asked.is_set():
            asked.set()
            go_on.wait(LONG_SECONDS)
            return 404, "no such job"
        return answer(method, path, body, authorization)

    bench.ray.answer = hold_up_once
    assert asked.wait(LONG_SECONDS)
    first.send_signal(signal.SIGSTOP)
    second = start_reconciler()
    wait_until(is_held_by(bench, second), "the second to take over")

    go_on.set()
    first.send_signal(signal.SIGCONT)
    log = log_path(tmp_path, 0)
    wait_until(lambda: "another process has taken over" in log.read_text(), "the first to notice")

    assert is_held_by(bench, second)()
    [attempt] = bench.queries.get_stage(StageKey(run_id, 0, "train")).attempts
    assert (attempt.state, attempt.failure_reason) == ("submitted", None)
    bench.ray.write_result(job_id)
    wait_until(lambda: f"{run_id}-g0-evaluate-a1" in bench.ray.jobs, "the second to go on")
    assert len({body["submission_id"] for body in bench.ray.submits}) == len(bench.ray.submits) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_collects_artifacts_and_delivers_events_beside_reconciling(
    bench: Workbench, run_config: Callable[..., RunConfig], start_reconciler: Start
) -> None:
    bench.clock.now = time.time()
    run_id = bench.commands.create_run(run_config(generations=2)).id
    bench.play_to_the_end(bench.reconciler())
    label_file = Path(bench.settings.artifact_root) / "runs" / run_id / "gen-1" / "label" / "part-00000.parquet"
    label_file.write_bytes(b"labels")
    allowed = changed(bench.settings, webhooks__private_networks=(ip_network("127.0.0.0/8"),))
    with serving() as server:
        bench.services_with(allowed).webhooks.register(WebhookRequest(url=server.receiver.url))
        process = start_reconciler()
        wait_until(lambda: bool(server.receiver.received), "the event")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=LONG_SECONDS) == 0

    assert not label_file.exists()
    [event] = server.receiver.events
    assert (event["kind"], event["message"]) == ("artifacts_collected", "labels: 1 file(s), 6 bytes")
