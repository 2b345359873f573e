"""Observing many attempts at once takes one list of Ray's jobs, and reads only the files that are due."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.artifacts.layout import ArtifactLayout
from service.artifacts.timed_calls import ArtifactCalls
from service.config.stage_key import StageKey
from service.errors import ArtifactStoreUnavailable
from service.lifecycle.snapshots import StageSnapshot
from service.lifecycle.states import StageState
from service.ray_client.jobs import RayJobs
from service.reconcile import stage_files, submission
from service.reconcile.job_statuses import (
    COUNT_HOLDS_SECONDS,
    LIST_FROM,
    LIST_RESTS,
    LOST_AFTER_SECONDS,
    JobStatuses,
)
from service.reconcile.stage_files import LOOKS_AT_ONCE, REMOTE_INTERVAL_SECONDS, AttemptFiles, OpenAttempt, StageFiles
from tests.support.fake_clock import FakeClock
from tests.support.fake_ray import FakeRay
from tests.support.workbench import MakeConfig, Workbench


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """These tests are about Ray and files, so one kind of database is enough."""
    shutil.copy(request.getfixturevalue("migrated_sqlite_file"), tmp_path / "test.db")
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
def run_ids(bench: Workbench, run_config: MakeConfig) -> list[str]:
    """More runs than the reconciler asks for one by one, all with a running job."""
    ids = [bench.commands.create_run(run_config()).id for _ in range(LIST_FROM + 2)]
    bench.reconciler().tick()
    assert len(bench.ray.jobs) == len(ids)
    return ids


@pytest.fixture
def asked(bench: Workbench) -> list[str]:
    """The paths of all requests to Ray from here on."""
    answer, paths = bench.ray.answer, []

    def listen(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        paths.append(path)
        return answer(method, path, body, authorization)

    bench.ray.answer = listen
    return paths


def states(bench: Workbench, run_ids: list[str]) -> list[str]:
    return [bench.queries.get_stage(StageKey(run_id, 0, "train")).attempts[0].state for run_id in run_ids]


def test_many_jobs_are_asked_for_at_once(bench: Workbench, run_ids: list[str], asked: list[str]) -> None:
    bench.reconciler().tick()

    assert asked == ["/api/jobs/"]


def test_a_job_that_is_missing_from_the_list_is_asked_for_before_it_counts_as_lost(
    bench: Workbench, run_ids: list[str], asked: list[str]
) -> None:
    forgotten, kept = (f"{run_id}-g0-train-a1" for run_id in run_ids[:2])
    del bench.ray.jobs[forgotten]
    bench.ray.answers.append((200, "[]"))

    bench.reconciler().tick()
    bench.clock.advance(LOST_AFTER_SECONDS)
    bench.reconciler().tick()

    assert f"/api/jobs/{kept}" in asked
    assert states(bench, run_ids) == ["failed"] + ["submitted"] * (len(run_ids) - 1)


def test_a_list_that_is_none_is_no_knowledge(bench: Workbench, run_ids: list[str]) -> None:
    bench.ray.answers += [(200, '{"jobs": []}')]

    bench.reconciler().tick()

    assert states(bench, run_ids) == ["submitted"] * len(run_ids)


def test_ray_that_does_not_answer_is_asked_once_a_tick_not_once_a_run(bench: Workbench, run_config: MakeConfig) -> None:
    """Nothing listens at the address, so each submission would wait for its timeout and delay the next run."""
    nowhere = RayJobs("http://127.0.0.1:9")
    attempted: list[str] = []
    send = nowhere._send

    def count(method: str, path: str, json: dict[str, Any] | None = None) -> Any:
        attempted.append(method)
        return send(method, path, json)

    nowhere._send = count
    run_ids = [bench.commands.create_run(run_config()).id for _ in range(3)]
    reconciler = bench.reconciling(ray_jobs=nowhere).reconciler

    reconciler.tick()
    nowhere.close()

    assert attempted == ["GET"]
    for run_id in run_ids:
        kinds = [event.kind for event in bench.queries.list_events(run_id).items]
        assert kinds == ["ray_unavailable", "run_created"]


def test_an_outage_of_ray_is_in_the_history_once_and_so_is_its_end(bench: Workbench, run_ids: list[str]) -> None:
    bench.ray.down = True
    for _ in range(4):
        bench.reconciler().tick()
        bench.clock.advance(3)
    bench.ray.down = False
    bench.reconciler().tick()

    events = bench.queries.list_events(run_ids[0]).items
    assert [(event.kind, event.message) for event in events[:2]] == [
        ("ray_available", "after 12 s"),
        ("ray_unavailable", "Ray's jobs API answered 503: the head is away"),
    ]


def test_a_result_that_cannot_be_read_is_waited_for_though_its_job_has_ended(
    bench: Workbench, run_ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = f"{run_ids[0]}-g0-train-a1"
    bench.ray.write_result(job_id)
    bench.ray.end(job_id)
    with monkeypatch.context() as patched:
        patched.setattr(stage_files, "read_bytes_if_there", stale_handle)
        for _ in range(3):
            bench.reconciler().tick()
    assert states(bench, run_ids[:1]) == ["submitted"]

    bench.reconciler().tick()

    assert states(bench, run_ids[:1]) == ["succeeded"]
    kinds = [event.kind for event in bench.queries.list_events(run_ids[0]).items]
    assert kinds.count("artifact_store_unavailable") == kinds.count("artifact_store_available") == 1


def test_a_full_disk_keeps_the_next_stage_waiting_and_says_so(
    bench: Workbench, run_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = bench.commands.create_run(run_config()).id
    with monkeypatch.context() as patched:
        patched.setattr(submission, "write_bytes", no_space)
        for _ in range(3):
            bench.reconciler().tick()
    assert bench.ray.submits == []
    [event] = [e for e in bench.queries.list_events(run_id).items if e.kind == "artifact_store_unavailable"]
    assert "No space left on device" in event.message

    bench.reconciler().tick()

    assert states(bench, [run_id]) == ["submitted"]


def stale_handle(uri: str) -> bytes:
    raise OSError(116, "Stale file handle")


def no_space(uri: str, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def open_attempts(count: int) -> list[OpenAttempt]:
    stage = StageSnapshot(generation=0, name="train", state=StageState.RUNNING)
    return [OpenAttempt(f"run-{number}", stage, 1, f"job-{number}") for number in range(count)]


def count_questions(ray: FakeRay, clock: FakeClock, seconds_a_list: float = 0.0) -> list[str]:
    """The paths of all requests from here on. A list takes as long as the test says."""
    answer, paths = ray.answer, []

    def listen(method: str, path: str, body: dict[str, Any] | None, authorization: str) -> tuple[int, str]:
        paths.append(path)
        clock.advance(seconds_a_list if path == "/api/jobs/" else 0)
        return answer(method, path, body, authorization)

    ray.answer = listen
    return paths


def test_few_jobs_among_very_many_that_ray_keeps_are_asked_for_by_name(
    ray: FakeRay, ray_jobs: RayJobs, clock: FakeClock
) -> None:
    attempts = open_attempts(LIST_FROM)
    ray.jobs = {f"job-{number}": {"submission_id": f"job-{number}", "status": "RUNNING"} for number in range(100)}
    asked = count_questions(ray, clock)
    statuses = JobStatuses(ray_jobs, clock)

    statuses.of(attempts)  # it does not know their number yet
    assert asked == ["/api/jobs/"]
    assert set(statuses.of(attempts)) == {attempt.job_id for attempt in attempts}
    assert asked[1:] == [f"/api/jobs/{attempt.job_id}" for attempt in attempts]
    clock.advance(COUNT_HOLDS_SECONDS)
    statuses.of(attempts)
    assert asked[-1] == "/api/jobs/"


def test_a_slow_list_rests_for_a_while(ray: FakeRay, ray_jobs: RayJobs, clock: FakeClock) -> None:
    attempts = open_attempts(LIST_FROM)
    ray.jobs = {f"job-{number}": {"submission_id": f"job-{number}", "status": "RUNNING"} for number in range(LIST_FROM)}
    asked = count_questions(ray, clock, seconds_a_list=1.0)
    statuses = JobStatuses(ray_jobs, clock)

    for _ in range(3):
        statuses.of(attempts)
        clock.advance(0.25)
    assert asked == ["/api/jobs/"]
    clock.advance(LIST_RESTS)
    statuses.of(attempts)
    assert asked == ["/api/jobs/"] * 2


class Looks:
    """Stage files that count how often a folder is read."""

    def __init__(self, calls: ArtifactCalls, clock: FakeClock, local: bool, folder: Path) -> None:
        self.files = StageFiles(ArtifactLayout(str(folder)), calls, local=local, monotonic=clock)
        self._looked: set[str] = set()
        read = self.files._read

        def note(attempt: OpenAttempt) -> AttemptFiles:
            self._looked.add(attempt.job_id)
            return read(attempt)

        self.files._read = note

    def at(self, running: list[OpenAttempt], ended: list[OpenAttempt] | None = None) -> set[str]:
        """The ids of the jobs whose files were read."""
        self._looked.clear()
        self.files.outcomes(running, ended or [])
        return set(self._looked)


@pytest.fixture
def calls() -> Iterator[ArtifactCalls]:
    calls = ArtifactCalls(5)
    yield calls
    calls.close()


def test_of_very_many_running_stages_those_not_seen_for_longest_are_looked_at(
    tmp_path: Path, clock: FakeClock, calls: ArtifactCalls
) -> None:
    looks = Looks(calls, clock, True, tmp_path)
    attempts = open_attempts(2 * LOOKS_AT_ONCE)

    first = looks.at(attempts)
    clock.advance(0.25)
    second = looks.at(attempts)

    assert len(first) == len(second) == LOOKS_AT_ONCE
    assert first | second == {attempt.job_id for attempt in attempts}


def test_an_object_store_is_looked_at_seldom_until_the_job_has_ended(
    tmp_path: Path, clock: FakeClock, calls: ArtifactCalls
) -> None:
    looks = Looks(calls, clock, False, tmp_path)
    [attempt] = open_attempts(1)

    assert looks.at([attempt]) == {attempt.job_id}
    clock.advance(REMOTE_INTERVAL_SECONDS / 2)
    assert looks.at([attempt]) == set()
    assert looks.at([], ended=[attempt]) == {attempt.job_id}
    clock.advance(REMOTE_INTERVAL_SECONDS)
    assert looks.at([attempt]) == {attempt.job_id}


def test_what_was_seen_last_holds_until_the_next_look(
    tmp_path: Path, clock: FakeClock, calls: ArtifactCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StageFiles(ArtifactLayout(str(tmp_path)), calls, local=False, monotonic=clock)
    [attempt] = open_attempts(1)
    with monkeypatch.context() as patched:
        patched.setattr(stage_files, "read_bytes_if_there", stale_handle)
        files.outcomes([attempt], [])

    assert isinstance(files.outcomes([attempt], [])[attempt.job_id], ArtifactStoreUnavailable)
    clock.advance(REMOTE_INTERVAL_SECONDS)
    for _ in range(2):
        assert files.outcomes([attempt], []) == {attempt.job_id: AttemptFiles()}
    files.forget_all_but([])
    assert files.outcomes([], []) == {}
