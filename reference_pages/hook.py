"""The hooks that mkdocs calls while it builds the site. They add the generated pages and those outside `docs/`."""

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from api.app import create_app
from noisy_student.cli.main import app
from reference_pages.command_line import command_line_page
from reference_pages.diagrams import with_tables
from reference_pages.outside_files import PAGE_OF, ROOT, linked, outside_page
from reference_pages.rest import rest_page, schemas_page
from reference_pages.run_configuration import events_page, meanings_of_events, run_configuration_page
from reference_pages.settings import settings_page
from service.config.events import EventKind
from service.config.run import RunConfig
from service.settings import Settings
from service.views.runs import EventView

OPERATIONS = ROOT / "docs" / "operations.md"


@cache
def openapi() -> Mapping[str, Any]:
    """The OpenAPI document of the API. The application that produces it needs a folder meanwhile."""
    with tempfile.TemporaryDirectory() as home:
        application = create_app(Settings(home=Path(home)))
        document = application.openapi()
        application.state.services.close()
    return document


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": lambda: settings_page(Settings),
    "reference/run-configuration.md": lambda: run_configuration_page(RunConfig),
    "reference/events.md": lambda: events_page(
        EventKind, meanings_of_events(OPERATIONS.read_text(encoding="utf-8")), EventView
    ),
    "reference/rest.md": lambda: rest_page(openapi()),
    "reference/schemas.md": lambda: schemas_page(openapi()),
    "reference/command-line.md": lambda: command_line_page(app, "noisy-student"),
}
"""The generated pages, by their paths in the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds all decisions to the navigation, in order."""
    folder = Path(config.docs_dir) / "decisions"
    [decisions] = [entry["Decisions"] for entry in config.nav or [] if "Decisions" in entry]
    decisions += [f"decisions/{file.name}" for file in sorted(folder.glob("[0-9]*.md"))]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are outside `docs/`."""
    for page, make in PAGES.items():
        files.append(File.generated(config, page, content=make()))
    for page in PAGE_OF.values():
        files.append(File.generated(config, page, content=outside_page(page)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Adapts a page's links and diagrams to the site."""
    return with_tables(linked(markdown, page.file.src_uri))
