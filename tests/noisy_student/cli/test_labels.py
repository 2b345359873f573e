"""`noisy-student labels` against a real server: pseudo labels are listed, marked and unmarked."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from noisy_student.cli.exit_codes import ExitCode
from noisy_student.cli.main import app as commands
from service.settings import Settings
from tests.support.made_labels import select_again, write_labels

LABELS = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3], [0.52, 0.48]]
Cli = Callable[..., Result]


@pytest.fixture
def labeled_run(finished_run: str, settings: Settings, tmp_path: Path) -> str:
    folder = Path(settings.artifact_root) / "runs" / finished_run
    write_labels(folder, 1, tmp_path / "images" / "unlabeled.parquet", LABELS)
    select_again(folder, 1)
    return finished_run


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(commands, ["labels", *arguments])


def test_labels_are_listed_marked_and_unmarked(cli: Cli, labeled_run: str) -> None:
    listed = cli("list", labeled_run, "1", "--limit", "2")
    assert listed.exit_code == 0, listed.output
    rows = listed.stdout.splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [["0/5", "cat", "52.0%"], ["0/3", "dog", "55.0%"]]

    assert cli("mark", labeled_run, "1", "0/3", "class", "cat").stdout == "unlabeled.parquet:3: cat\n"
    assert cli("mark", labeled_run, "1", "0/5", "wrong").stdout == "unlabeled.parquet:5: not cat\n"
    assert "not cat" in cli("list", labeled_run, "1", "--class", "cat").stdout
    marks = json.loads(cli("marks", labeled_run, "-o", "json").stdout)
    assert [(mark["row"], mark["verdict"]) for mark in marks] == [(5, "wrong"), (3, "class")]
    assert "0/3 of generation 1 is not marked" in cli("unmark", labeled_run, "1", "0/3").stdout
    assert len(cli("marks", labeled_run).stdout.splitlines()) == 2


def test_a_list_is_as_long_as_asked_and_says_what_it_cannot_show(cli: Cli, labeled_run: str) -> None:
    page = json.loads(cli("list", labeled_run, "1", "-o", "json").stdout)
    assert [item["row"] for item in page["items"]] == [5, 3, 1, 4, 2, 0]
    assert "the first that labels" in cli("list", labeled_run, "1", "--order", "changed").stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["0-3", "right"], ExitCode.USAGE),
        (["0/3", "perhaps"], ExitCode.USAGE),
        (["0/3", "class", "cow"], ExitCode.REFUSED),
        (["7/3", "right"], ExitCode.NOT_FOUND),
    ],
)
def test_what_cannot_be_marked_has_its_exit_code(
    cli: Cli, labeled_run: str, arguments: list[str], code: ExitCode
) -> None:
    assert cli("mark", labeled_run, "1", *arguments).exit_code == code
