"""Every file, folder and module of this project that a page or comment names exists, and every link works."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("api", "benchmarks", "deploy", "docs", "examples", "noisy_student", "reference_pages", "service", "tests"),
    "workers",
)
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
    ]
)
SOURCES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
A_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})(?:/[\w.-]+)+/?")
A_MODULE = re.compile(rf"-m ((?:{'|'.join(ROOMS)})(?:\.\w+)*)")
A_FILE_NAME = re.compile(r"`(\w+\.py)`")
A_LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACEHOLDER = re.compile(r"/(?:NAME|NNNN_\w+)\b")
"""Placeholders, which the reader replaces."""
TOLD_OF = {"CHANGELOG.md"}
"""This page also names files that no longer exist."""


def missing_paths(text: str) -> Iterator[str]:
    """Paths of this project, such as `service/runs/commands.py` or `workers/data/`, that do not exist."""
    for path in A_PATH.findall(text):
        is_file = re.search(r"\.(?:py|md|json|toml|ya?ml|html|js|css)$", path)
        if not PLACEHOLDER.search(path) and (is_file or path.endswith("/")) and not (ROOT / path).exists():
            yield path


def missing_modules(text: str) -> Iterator[str]:
    """Modules of this project that `python -m` should run but that do not exist."""
    for module in A_MODULE.findall(text):
        path = ROOT.joinpath(*module.split("."))
        if not path.with_suffix(".py").exists() and not (path / "__main__.py").exists():
            yield module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = {file.name for file in SOURCES}
    if page.name not in TOLD_OF:
        assert list(missing_paths(text)) == []
        assert [name for name in A_FILE_NAME.findall(text) if name not in names] == []
    assert list(missing_modules(text)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for link in A_LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_what_comments_and_docstrings_name_is_there() -> None:
    missing: dict[str, list[str]] = {}
    for source in SOURCES:
        if source.is_relative_to(ROOT / "tests"):
            continue  # these tests invent paths
        text = source.read_text(encoding="utf-8")
        files = [path for path in missing_paths(text) if not path.endswith("/")]  # Ray's own API has api/jobs/
        if found := [*files, *missing_modules(text)]:
            missing[str(source.relative_to(ROOT))] = found
    assert missing == {}


def test_a_path_that_is_not_there_is_found() -> None:
    text = "`service/run_commands.py`, service/runs/commands.py, `workers/nowhere/`, workers/NAME/stage.py"
    assert list(missing_paths(text)) == ["service/run_commands.py", "workers/nowhere/"]
    text = "python -m benchmarks.nowhere, python -m service.reconcile"
    assert list(missing_modules(text)) == ["benchmarks.nowhere"]


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes from the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
