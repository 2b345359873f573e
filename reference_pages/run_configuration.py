"""Generates the pages of the run configuration and of events from their pydantic models."""

import re
from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel

from reference_pages.schemas import Schema, described, fields_table, sections

_OF_RUNS = """# Run configuration

The body of `POST /runs` and of `noisy-student runs create`, in JSON or YAML. Unknown fields and out-of-range values are
rejected with the field's name. The [examples](../examples.md) are good starting points.
"""
_OF_EVENTS = """# Events

The event kinds in a run's history, the stream and webhooks. [Operations](../operations.md#events) explains their
delivery.

| kind | what happened |
| --- | --- |
"""


def run_configuration_page(config: type[BaseModel]) -> str:
    """The page in Markdown: the fields of the configuration, and a section for each nested model."""
    schema = config.model_json_schema()
    below: dict[str, Schema] = schema.get("$defs", {})
    return "\n".join([_OF_RUNS, *fields_table(schema), *sections(below)])


def events_page(kinds: type[StrEnum], meanings: Mapping[str, str], event: type[BaseModel]) -> str:
    """The page in Markdown: all kinds with meanings, and an event's fields. Raises KeyError if a meaning is missing."""
    schema = event.model_json_schema(mode="serialization")
    rows = "\n".join(f"| `{kind.value}` | {meanings[kind.value]} |" for kind in kinds)
    below: dict[str, Schema] = schema.get("$defs", {})
    parts = ["", "", "## An event", "", *described(schema), *fields_table(schema), *sections(below)]
    return _OF_EVENTS + rows + "\n".join(parts)


def meanings_of_events(operations: str) -> dict[str, str]:
    """The meaning of each event kind, from the table in the page on operations."""
    table = operations.split("\n## Events\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", table, re.MULTILINE))
