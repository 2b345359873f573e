"""What a stage's process does around the stage itself: the fence before it, and the outcome after it."""

import json
import time
from pathlib import Path

import pytest

from workers import entrypoint
from workers.artifact_io import write_bytes
from workers.runtime.stage_reporter import StageReporter
from workers.specs.reports import FailureReason
from workers.specs.selection import SelectionSettings
from workers.specs.stages import AnyStageSpec, SelectSpec, spec_name


@pytest.fixture
def stage_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts whose stage ran. Each fails because the disk is full."""
    calls: list[int] = []

    def run_stage(spec: AnyStageSpec, reporter: StageReporter) -> None:
        calls.append(spec.attempt)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(entrypoint, "_run_stage", run_stage)
    return calls


def write_spec(folder: Path, attempt: int) -> str:
    spec = SelectSpec(
        run_id="run-1",
        generation=1,
        attempt=attempt,
        folder_uri=str(folder),
        seed=0,
        manifest_uri="/m",
        labels_uri="/l",
        classes=("a", "b"),
        settings=SelectionSettings(),
    )
    uri = f"{folder}/{spec_name(attempt)}"
    write_bytes(uri, spec.model_dump_json().encode())
    return uri


def test_a_job_of_an_earlier_attempt_does_nothing(tmp_path: Path, stage_calls: list[int]) -> None:
    first = write_spec(tmp_path, 1)
    write_spec(tmp_path, 10)

    assert entrypoint.run(first, time.time()) == 2
    assert stage_calls == []
    assert not (tmp_path / "failure.json").exists()


def test_a_spec_of_an_earlier_attempt_that_is_written_late_takes_nothing_back(
    tmp_path: Path, stage_calls: list[int]
) -> None:
    write_spec(tmp_path, 2)
    late = write_spec(tmp_path, 1)

    assert entrypoint.run(late, time.time()) == 2
    entrypoint.run(f"{tmp_path}/{spec_name(2)}", time.time())
    assert stage_calls == [2]


@pytest.mark.parametrize("name", ["result.json", "failure.json"])
def test_a_job_that_is_started_again_after_its_attempt_has_ended_does_nothing(
    tmp_path: Path, stage_calls: list[int], name: str
) -> None:
    uri = write_spec(tmp_path, 1)
    (tmp_path / name).write_text('{"attempt": 1}')

    assert entrypoint.run(uri, time.time()) == 2
    assert stage_calls == []
    assert (tmp_path / name).read_text() == '{"attempt": 1}'


def test_an_outcome_of_the_attempt_before_is_no_reason_to_stop(tmp_path: Path, stage_calls: list[int]) -> None:
    uri = write_spec(tmp_path, 2)
    (tmp_path / "failure.json").write_text('{"attempt": 1}')

    entrypoint.run(uri, time.time())
    assert stage_calls == [2]


def test_a_full_disk_is_named_as_the_reason(tmp_path: Path, stage_calls: list[int]) -> None:
    assert entrypoint.run(write_spec(tmp_path, 1), time.time()) == 1
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert failure["reason"] == FailureReason.ARTIFACT_STORE
    assert "No space left on device" in failure["message"]


def test_a_stage_that_cannot_even_write_its_failure_says_so_by_its_exit_code(
    tmp_path: Path, stage_calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = write_spec(tmp_path, 1)

    def refuse(uri: str, data: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(entrypoint, "write_bytes", refuse)
    assert entrypoint.run(uri, time.time()) == entrypoint.CANNOT_WRITE
