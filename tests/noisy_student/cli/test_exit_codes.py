"""Each way in which a command ends has its own exit code, and the documentation lists them all."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from noisy_student import errors
from noisy_student.cli.exit_codes import MEANINGS, ExitCode, code_of_error, code_of_state
from noisy_student.cli.main import app
from noisy_student.errors import ApiError, error_of
from service.lifecycle.states import UNFINISHED_RUNS, RunState

PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text(encoding="utf-8")


def test_the_documented_table_is_the_one_in_code() -> None:
    section = PAGE.split("## Exit codes")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, flags=re.MULTILINE)
    assert rows == [(str(code.value), MEANINGS[code]) for code in ExitCode]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ExitCode.REFUSED),
        (401, ExitCode.NO_ACCESS),
        (403, ExitCode.NO_ACCESS),
        (404, ExitCode.NOT_FOUND),
        (409, ExitCode.REFUSED),
        (413, ExitCode.REFUSED),
        (415, ExitCode.REFUSED),
        (422, ExitCode.REFUSED),
        (429, ExitCode.UNREACHABLE),
        (500, ExitCode.ERROR),
        (503, ExitCode.UNREACHABLE),
    ],
)
def test_a_refusal_has_the_code_of_its_kind(status: int, code: ExitCode) -> None:
    problem = f'{{"type": "about:blank", "title": "no", "status": {status}, "detail": "", "instance": "/"}}'
    assert code_of_error(error_of("http://a/", status, {}, problem.encode())) == code


def test_every_kind_of_error_was_thought_of() -> None:
    kinds = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ApiError)}
    plain = {kind.__name__ for kind in kinds if code_of_error(kind.__new__(kind)) == ExitCode.ERROR}
    assert plain == {"ApiError", "UnexpectedAnswer", "Refused"}


def test_each_final_state_has_its_code() -> None:
    codes = {state: code_of_state(state) for state in RunState if state not in UNFINISHED_RUNS}
    assert codes == {
        RunState.SUCCEEDED: ExitCode.OK,
        RunState.FAILED: ExitCode.RUN_FAILED,
        RunState.GATED: ExitCode.RUN_GATED,
        RunState.CANCELLED: ExitCode.RUN_CANCELLED,
    }


def test_wrong_use_has_the_code_of_wrong_use() -> None:
    for words in (["runs", "list", "--no-such-option"], ["runs", "show"], ["no-such-command"]):
        assert CliRunner().invoke(app, words).exit_code == ExitCode.USAGE
