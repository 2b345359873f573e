"""The documentation site builds as in CI, documents everything in the code, and loads nothing from other sites."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args, get_origin

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from noisy_student.cli.main import app as commands
from reference_pages.command_line import command_line_page
from reference_pages.hook import PAGES
from service.config.events import EventKind
from service.config.run import RunConfig
from service.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    return folder


class _Addresses(HTMLParser):
    """The resources that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag != "a" and values.get("rel") not in ("canonical", "prev", "next"):
            self.loaded += [value for name in ("src", "href") if (value := values.get(name))]


def loaded(page: Path) -> Iterator[str]:
    parser = _Addresses()
    parser.feed(page.read_text(encoding="utf-8"))
    yield from parser.loaded


def text_of(page: Path) -> str:
    """The text of the page, without tags."""
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def names_of(group: type[BaseModel]) -> Iterator[str]:
    """The names of all settings, as in their environment variables."""
    for name, field in group.model_fields.items():
        inner = [
            each
            for each in (field.annotation, *get_args(field.annotation))
            if isinstance(each, type) and issubclass(each, BaseModel) and get_origin(field.annotation) is not tuple
        ]
        yield from (f"{name}__{below}" for each in inner for below in names_of(each))
        if not inner:
            yield name


def test_every_page_of_the_docs_and_those_beside_them_are_there(site: Path) -> None:
    pages = {file.relative_to(ROOT / "docs").with_suffix(".html") for file in (ROOT / "docs").rglob("*.md")}
    pages = {page.with_name("index.html") if page.stem == "README" else page for page in pages}
    beside = {Path(f"{name}.html") for name in ("index", "contributing", "changelog", "results", "examples")}
    made = {Path(page).with_suffix(".html") for page in PAGES}

    assert [str(page) for page in pages | beside | made if not (site / page).is_file()] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        found = list(loaded(page))
        assert len(found) > 3, page
        assert [address for address in found if re.match(r"(?:[a-z]+:)?//", address)] == [], page


def test_the_reference_has_every_setting_field_event_call_and_command(site: Path, app: FastAPI) -> None:
    pages = {page.stem: text_of(page) for page in (site / "reference").glob("*.html")}

    settings = [f"NOISY_STUDENT_{name.upper()}" for name in names_of(Settings)]
    assert len(settings) > 40
    assert [name for name in settings if name not in pages["settings"]] == []
    assert [name for name in RunConfig.model_fields if name not in pages["run-configuration"]] == []
    assert [kind for kind in EventKind if kind not in pages["events"]] == []
    document = app.openapi()
    calls = [f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item]
    assert len(calls) > 50
    assert [call for call in calls if call not in pages["rest"]] == []
    assert [name for name in document["components"]["schemas"] if name not in pages["schemas"]] == []
    named = re.findall(r"^## `(.+)`$", command_line_page(commands, "noisy-student"), re.MULTILINE)
    assert "noisy-student runs create" in named
    assert [words for words in named if words not in pages["command-line"]] == []


def test_no_folder_of_this_machine_is_in_the_reference(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert str(ROOT) not in text
        assert str(Path.home()) + "/" not in text
