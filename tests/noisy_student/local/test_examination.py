"""`noisy-student doctor` says what is missing, and exits with 1 if the service cannot work."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisy_student.cli.main import app as commands
from noisy_student.findings import Finding
from noisy_student.local import examination
from noisy_student.local.examination import examine

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets a separate home, in which nothing runs."""
    monkeypatch.setenv("NOISY_STUDENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NOISY_STUDENT_RAY__JOBS_URL", NOBODY)
    monkeypatch.setenv("COLUMNS", "250")


def _finding(subject: str, api: str = NOBODY) -> Finding:
    [found] = [finding for finding in examine(api) if finding.subject == subject]
    return found


def test_a_machine_where_nothing_runs_yet_is_well() -> None:
    result = CliRunner().invoke(commands, ["doctor", "--api", NOBODY])
    assert result.exit_code == 0, result.output
    assert "start it: noisy-student up" in result.output


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    examine(NOBODY)
    assert list(tmp_path.iterdir()) == []


def test_a_running_api_is_found(server: str) -> None:
    assert _finding("API", server).verdict == "ok"


def test_another_program_on_the_port_is_a_failure(server: str) -> None:
    assert _finding("API", f"{server}/elsewhere").verdict == "fail"


def test_an_unreachable_database_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=2")
    result = CliRunner().invoke(commands, ["doctor", "--api", NOBODY])
    assert result.exit_code == 1
    assert "NOISY_STUDENT_DATABASE_URL" in result.output


def test_an_artifact_root_below_a_file_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NOISY_STUDENT_ARTIFACT_ROOT", str(tmp_path / "file" / "artifacts"))
    assert _finding("artifact root").verdict == "fail"


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISY_STUDENT_RECONCILER__MAX_ATTEMPTS", "none")
    found = _finding("settings")
    assert found.verdict == "fail"
    assert "NOISY_STUDENT_RECONCILER__MAX_ATTEMPTS" in found.found


def test_a_missing_package_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "_PACKAGES", ("no-such-package-anywhere",))
    assert _finding("no-such-package-anywhere").verdict == "fail"
