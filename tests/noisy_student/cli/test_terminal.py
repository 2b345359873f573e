"""No foreign text reaches the terminal unescaped, or is read as rich markup."""

import ast
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from rich.table import Table
from sqlalchemy import update
from typer.testing import CliRunner

import noisy_student.cli
from noisy_student.cli.main import app as commands
from noisy_student.cli.terminal import Screen, styled
from noisy_student.errors import ApiError
from noisy_student.transport import SyncTransport
from service.store.schema.tables import AttemptRow, DatasetRow, EventRow, ModelRow, RunRow
from tests.support.application import StubRay
from workers.specs.text import in_json, shown, unfit_character

pytestmark = pytest.mark.attack

HOSTILE = "[/x] [red]a[/red] \x1b]0;owned\x07\x1b[2J\x9b31m \u202egnp.exe \r\x08 :smile: [link=file:///]b"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]")
"""The escape sequences that rich itself sends to a terminal."""


def check(output: str) -> None:
    left = _COLOUR.sub("", output).replace("\n", "")
    assert unfit_character(left) is None, ascii(left)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_screen_shows_values_as_they_are_and_harmlessly(terminal: bool) -> None:
    written = StringIO()
    screen = Screen(file=written, force_terminal=terminal, width=400)
    table = Table("head", HOSTILE, title=HOSTILE, caption=HOSTILE)
    table.add_row(HOSTILE, styled(HOSTILE, "red"))
    screen.print(table)
    screen.print(HOSTILE, styled(HOSTILE))
    check(written.getvalue())
    assert "[/x] [red]a[/red] \\x1b]0;owned\\x07" in _COLOUR.sub("", written.getvalue())
    assert "\\u202egnp.exe" in written.getvalue()


@pytest.mark.parametrize("text", ["plain", "猫", "a\tb", HOSTILE, "\ud800", "\u2028"])
def test_unfit_characters_are_written_out(text: str) -> None:
    assert unfit_character(shown(text)) is None
    shown(text).encode()
    assert json.loads(in_json(json.dumps({text: text}, ensure_ascii=False))) == {text: text}


@pytest.fixture
def hostile(client: TestClient, app: FastAPI, finished_run: str) -> str:
    """A run all of whose texts an older, less careful version has stored."""
    with app.state.services.database.write() as session:
        session.execute(update(RunRow).values(name=HOSTILE, state_reason=HOSTILE, state="failed"))
        session.execute(update(DatasetRow).values(name=HOSTILE, uri=HOSTILE, classes=json.dumps([HOSTILE, "b"])))
        session.execute(update(DatasetRow).values(class_counts=json.dumps({HOSTILE: 1, "b": 2})))
        session.execute(update(AttemptRow).values(failure_reason="hung", failure_message=HOSTILE))
        session.execute(update(EventRow).values(message=HOSTILE))
        session.execute(update(ModelRow).values(model=HOSTILE, uri=HOSTILE))
    return finished_run


COMMANDS = (
    ("runs", "list"),
    ("runs", "show", "RUN"),
    ("watch", "RUN"),
    ("events", "--run", "RUN", "--after", "0", "--count", "5"),
    ("datasets", "list"),
    ("models", "list"),
    ("models", "show", "MODEL"),
    ("logs", "RUN"),
    ("queue",),
    ("projects", "list"),
    ("plans", "list"),
    ("searches", "list"),
    ("retention", "plan"),
    ("runs", "show", "no-such-run"),
    ("runs", "show", "\x1b[2J[/x]"),
    ("datasets", "add", "/no/such/\x1b[2J[/x]", "--role", "labeled"),
)


@pytest.mark.parametrize("as_json", [False, True])
def test_no_command_crashes_at_what_others_have_written_or_passes_it_on(
    server: str, hostile: str, ray: StubRay, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    monkeypatch.setenv("NOISY_STUDENT_API", server)
    monkeypatch.setenv("COLUMNS", "300")
    ray.printed = f"\x1b[36m(worker)\x1b[0m {HOSTILE}\n"
    seen = ""
    for command in COMMANDS:
        words = [word.replace("RUN", hostile).replace("MODEL", f"{hostile}-g1") for word in command]
        takes_json = words[0] not in ("watch", "logs") and words[-1] != "no-such-run"
        done = CliRunner().invoke(commands, [*words, *(["-o", "json"] if as_json and takes_json else [])])
        assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.exception)
        check(done.stdout)
        check(done.stderr)
        seen += done.stdout
    assert "owned" in seen


def test_what_the_api_refuses_is_told_harmlessly(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ApiError(HOSTILE)

    monkeypatch.setattr(SyncTransport, "carry_out", refuse)
    done = CliRunner().invoke(commands, ["runs", "show", "run-1", "--api", server])
    assert (done.exit_code, "[/x] [red]a[/red]" in done.stderr) == (1, True)
    check(done.stderr)


def test_there_is_no_other_way_to_the_terminal() -> None:
    folder = Path(noisy_student.cli.__file__).parent
    others: list[str] = []
    for file in folder.rglob("*.py"):
        if file.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                barred = {"rich.markup", "rich.text"} if node.module else set()
                names = {f"{node.module}.{name.name}" for name in node.names}
                if node.module in barred or "rich.console.Console" in names:
                    others.append(f"{file.name}: {ast.unparse(node)}")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo", "typer.secho"):
                others.append(f"{file.name}: {ast.unparse(node)}")
    assert others == []
