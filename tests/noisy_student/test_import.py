"""How long importing the client takes in a fresh process, and which modules it imports."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.house.client_import import import_seconds

FOREIGN = {
    "alembic",
    "api",
    "fastapi",
    "numpy",
    "pandas",
    "psycopg",
    "pyarrow",
    "ray",
    "sqlalchemy",
    "starlette",
    "torch",
    "uvicorn",
}
"""Packages that a machine which only calls the API need not have."""
_VALUES = ("service.config", "service.views", "service.lifecycle.states", "workers.specs")
_EVERY_PART = "import noisy_student as n; c = n.Client(); [getattr(c, part) for part in n.client.PARTS]"


def _loaded(statement: str) -> set[str]:
    """The modules that a fresh process has imported after the statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "statement",
    [
        "from noisy_student import AsyncClient, Client",
        _EVERY_PART,
        "from noisy_student.cli.main import app",
    ],
)
def test_neither_client_nor_command_line_pulls_in_the_service(statement: str) -> None:
    loaded = _loaded(statement)
    assert FOREIGN & {name.partition(".")[0] for name in loaded} == set()


def test_of_the_service_the_client_knows_values_only() -> None:
    ours = {name for name in _loaded(_EVERY_PART) if name.startswith(("service.", "workers."))}
    assert {name for name in ours if not name.startswith(_VALUES)} <= {"service.lifecycle"}


def test_importing_the_client_takes_less_than_three_tenths_of_a_second() -> None:
    # Measures the process's own CPU time, because the machine may be busy. The benchmark measures wall time.
    assert min(import_seconds("process_time") for _ in range(5)) < 0.3


def test_the_types_are_told_to_others() -> None:
    import noisy_student
    import service
    import workers

    for package in (noisy_student, service, workers):
        assert (Path(package.__path__[0]) / "py.typed").is_file()
