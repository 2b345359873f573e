"""Commands, calls, events and diagrams become Markdown, with links as the site needs them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import BaseModel

from reference_pages.command_line import command_line_page
from reference_pages.diagrams import with_tables
from reference_pages.outside_files import linked, outside_page
from reference_pages.rest import rest_page, schemas_page
from reference_pages.run_configuration import events_page, meanings_of_events

app = typer.Typer(help="Made commands.")
runs = typer.Typer(help="Runs.")
app.add_typer(runs, name="runs")


@runs.command("show")
def show(
    run: Annotated[str, typer.Argument(help="Its id.")],
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many.")] = 10,
    folder: Annotated[Path, typer.Option(hidden=True)] = Path("build"),
) -> None:
    """Show a run."""


@app.command("up")
def up(home: Annotated[Path, typer.Option(help="A folder.")] = Path("/root/data")) -> None:
    """Start."""


def test_commands_of_all_depths_are_listed_with_their_options() -> None:
    page = command_line_page(app, "made")

    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## `made`", "## `made up`", "## `made runs`", "## `made runs show`"]
    assert "Show a run." in page
    assert "| `run` | **required** | Its id. |" in page
    assert "| `--limit`, `-n` | `10` | How many. |" in page
    assert "--folder" not in page, "it is hidden"


def test_no_folder_of_the_machine_that_builds_is_a_default() -> None:
    assert "| `--home` | – | A folder. |" in command_line_page(app, "made")


DOCUMENT = {
    "info": {"description": "Made."},
    "tags": [{"name": "runs", "description": "Lines."}, {"name": "nothing"}],
    "paths": {
        "/runs/{run}": {
            "get": {
                "tags": ["runs"],
                "summary": "Show a run",
                "parameters": [{"name": "run", "in": "path", "required": True, "schema": {"type": "string"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Run"}}}},
                "responses": {"204": {"description": "Nothing"}},
            }
        },
        "/healthz": {"get": {"responses": {}}},
    },
    "components": {"schemas": {"Run": {"properties": {"id": {"type": "string"}}, "required": ["id"]}}},
}


def test_every_call_stands_below_its_tag_and_links_to_what_it_takes() -> None:
    page = rest_page(DOCUMENT)

    assert [line for line in page.splitlines() if line.startswith("##")] == [
        "## Runs",
        "### `GET /runs/{run}`",
        "## Other",
        "### `GET /healthz`",
    ]
    assert "| `run` (required) | path | text |  |" in page
    assert "Body: [Run](schemas.md#run) (`application/json`)" in page
    assert "| 204 |  | Nothing |" in page
    assert "## Run { #run }" in schemas_page(DOCUMENT)


class Kind(StrEnum):
    RUN_CREATED = "run_created"


class Event(BaseModel):
    """One line."""

    kind: Kind


def test_each_kind_of_event_says_what_happened() -> None:
    operations = (
        "# Operations\n\n## Events\n\n| kind | |\n| --- | --- |\n| `run_created` | a run |\n\n## More\n| `x` | y |\n"
    )
    meanings = meanings_of_events(operations)

    assert meanings == {"run_created": "a run"}
    assert "| `run_created` | a run |\n\n## An event\n\nOne line." in events_page(Kind, meanings, Event)
    with pytest.raises(KeyError, match="run_created"):
        events_page(Kind, {}, Event)


def test_a_state_diagram_becomes_a_table_of_its_arrows() -> None:
    drawn = "```mermaid\nstateDiagram-v2\n    [*] --> pending\n    pending --> [*]: done\n```"
    page = f"Text\n\n{drawn}\n\n```python\n1\n```\n"

    table = "| from | to | when |\n| --- | --- | --- |\n| *begins* | `pending` |  |\n| `pending` | *ends* | done |"
    assert with_tables(page) == f"Text\n\n{table}\n\n```python\n1\n```\n"
    with pytest.raises(ValueError, match="is no arrow"):
        with_tables("```mermaid\nstateDiagram-v2\n    note left of x\n```")


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("states.md", "[a](glossary.md#x)", "[a](glossary.md#x)"),
        ("states.md", "[a](#x)", "[a](#x)"),
        ("states.md", "[a](https://example.com)", "[a](https://example.com)"),
        ("states.md", "[results](../benchmarks/RESULTS.md#y)", "[results](results.md#y)"),
        ("states.md", "[a](../service/errors.py)", "a"),
        ("decisions/0001-x.md", "[a](../states.md)", "[a](../states.md)"),
        ("decisions/0001-x.md", "[a](../../README.md)", "[a](../index.md)"),
        ("index.md", "[a](docs/states.md), [b](examples)", "[a](states.md), [b](examples.md)"),
        ("index.md", "[a](docs/decisions/README.md)", "[a](decisions/README.md)"),
        ("results.md", "[a](../docs/plans.md)", "[a](plans.md)"),
        ("reference/settings.md", "[a](../operations.md)", "[a](../operations.md)"),
    ],
)
def test_links_lead_to_the_same_page_of_the_site(page: str, link: str, expected: str) -> None:
    assert linked(link, page) == expected


def test_code_is_left_as_it_is() -> None:
    code = "```python\ncall[0](docs/x)\n```"
    assert linked(f"{code}\n[a](docs/states.md)", "index.md") == f"{code}\n[a](states.md)"


def test_the_examples_are_shown_in_full() -> None:
    assert "## `examples/runs/first.yaml`\n\n```yaml\n# The smallest run" in outside_page("examples.md")
