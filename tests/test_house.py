"""The repository stays easy to read: small files, small packages, and imports of lower layers only."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.house.arrows import back_arrows

ROOT = Path(__file__).parents[1]
MOST_LINES = 300
MOST_LINES_OF_TESTS = 350
MOST_FILES = 14


def python_files(top: str) -> list[Path]:
    return [path for path in (ROOT / top).rglob("*.py") if "versions" not in path.parts]


@pytest.mark.parametrize(
    "top", ["api", "benchmarks", "examples", "noisy_student", "reference_pages", "service", "tests", "workers"]
)
def test_no_file_has_outgrown_a_reader(top: str) -> None:
    most = MOST_LINES_OF_TESTS if top == "tests" else MOST_LINES
    sizes = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in python_files(top)}

    assert {name: lines for name, lines in sizes.items() if lines > most} == {}


def test_no_package_of_the_service_has_outgrown_a_reader() -> None:
    files = Counter(str(path.parent.relative_to(ROOT)) for path in python_files("service") if path.stem != "__init__")

    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}


def test_no_import_of_the_service_runs_back_up() -> None:
    assert back_arrows() == 0
