"""Every command that prints something prints it as a table, in full, as JSON or as YAML."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner, Result

from noisy_student.cli.main import app
from noisy_student.cli.output import OutputFormat

_WITHOUT = {
    "up": "runs until Ctrl-C",
    "run": "asks, and follows the run",
    "demo": "writes demo.json",
    "link": "prints an address",
    "logout": "only says that it is done",
    "profiles remove": "only says that it is done",
    "models pull": "-o names the folder",
    "models export": "-o names the file; --report has the forms",
    "models push": "prints the address of the repository",
    "labels export": "-o names the place",
    "labels export-marks": "-o names the place",
    "labels unmark": "the service answers nothing",
    "predict": "-o names the file",
    "predictions download": "-o names the file",
    "webhooks delete": "the service answers nothing",
    "webhooks retry": "the service answers nothing",
}


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(_commands(get_command(app)))


def test_every_command_that_prints_an_answer_has_the_option() -> None:
    without = {
        name
        for name, command in ALL.items()
        if not any(
            {"-o", "--output"} <= set(each.opts) and isinstance(each.default, OutputFormat) for each in command.params
        )
    }
    assert without == _WITHOUT.keys() & ALL.keys()
    assert "--report" in {option for each in ALL["models export"].params for option in each.opts}


@pytest.fixture
def cli(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.delenv("COLUMNS", raising=False)
    return lambda *words, **more: CliRunner().invoke(app, list(words), **more)


_LISTS = ("runs list", "datasets list", "models list", "projects list", "retention plan", "queue", "presets")


@pytest.mark.parametrize(
    "words", [*_LISTS, "runs show RUN", "models show RUN-g1", "models lineage RUN-g1", "watch RUN"]
)
def test_json_and_yaml_hold_the_same(cli: Callable[..., Result], finished_run: str, words: str) -> None:
    command = words.replace("RUN", finished_run).split()
    told = [cli(*command, "-o", form) for form in ("json", "yaml")]
    assert [each.exit_code for each in told] == [0, 0], told[0].stderr
    as_json, as_yaml = json.loads(told[0].stdout), yaml.safe_load(told[1].stdout)
    assert as_json
    assert as_json == json.loads(json.dumps(as_yaml, default=str))


@pytest.mark.parametrize("words", _LISTS)
def test_a_table_fits_the_terminal_and_wide_has_more(cli: Callable[..., Result], finished_run: str, words: str) -> None:
    table, wide = (cli(*words.split(), "-o", form).stdout for form in ("table", "wide"))
    assert max(map(len, table.splitlines())) <= 80
    if words == "runs list":
        assert finished_run in table
        assert "project" in wide.splitlines()[0]
        assert "project" not in table.splitlines()[0]
    if words == "datasets list":
        assert all("/images/" in line for line in wide.splitlines()[1:])  # each place in full, on its row's line


def test_a_run_that_is_shown_as_yaml_is_created_again(cli: Callable[..., Result], finished_run: str) -> None:
    shown = yaml.safe_load(cli("runs", "show", finished_run, "-o", "yaml").stdout)
    body = yaml.safe_dump({**shown["config"], "name": "again"})
    created = cli("runs", "create", "-f", "-", "-o", "yaml", input=body)
    assert created.exit_code == 0, created.stderr
    assert yaml.safe_load(created.stdout)["config"] == {**shown["config"], "name": "again"}
