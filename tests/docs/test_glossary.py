"""The glossary has each stage, state and scope. The tables it links to have all failure reasons and event kinds."""

import re
from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest

from service.config.access import Scope
from service.config.events import EventKind
from service.lifecycle.states import AttemptState, DeliveryState, GenerationState, RunKind, RunState, StageState
from workers.specs.reports import FailureReason
from workers.specs.stages import StageName

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
STATES_OF: dict[str, type[StrEnum]] = {
    "run": RunState,
    "generation": GenerationState,
    "stage": StageState,
    "attempt": AttemptState,
    "delivery": DeliveryState,
}


def rows(section: str) -> list[list[str]]:
    """The cells of each row of a section's table, without the header."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", GLOSSARY, re.MULTILINE | re.DOTALL)
    assert found is not None, section
    table = [line.strip("| ").split(" | ") for line in found[1].splitlines() if line.startswith("| ")]
    return table[2:]


def terms() -> list[str]:
    """All terms in the order of the page, except the states, which have their own section."""
    sections = [section for section in re.findall(r"^## (.+)$", GLOSSARY, re.MULTILINE) if section != "States"]
    return [cells[0] for section in sections for cells in rows(section)]


def test_every_stage_has_a_line() -> None:
    in_the_glossary = {term.strip("`") for term in terms() if term.startswith("`")}
    assert in_the_glossary == set(get_args(StageName))


@pytest.mark.parametrize("of", STATES_OF)
def test_every_state_has_a_line_that_says_whose_it_is(of: str) -> None:
    listed = {cells[0].strip("`") for cells in rows("States") if of in cells[1].split(", ")}
    assert listed == {state.value for state in STATES_OF[of]}


@pytest.mark.parametrize(("term", "values"), [("run", RunKind), ("scope", Scope)])
def test_kinds_of_runs_and_scopes_are_named(term: str, values: type[StrEnum]) -> None:
    [line] = [line for line in GLOSSARY.splitlines() if line.startswith(f"| {term} |")]
    assert {value.value for value in values} <= set(re.findall(r"`([a-z]+)`", line))


@pytest.mark.parametrize(
    ("anchor", "heading", "names"),
    [
        ("events", "## Events", [kind.value for kind in EventKind]),
        ("when-something-fails", "## When something fails", [reason.value for reason in FailureReason]),
    ],
)
def test_what_the_glossary_leaves_to_operations_is_there(anchor: str, heading: str, names: list[str]) -> None:
    assert f"(operations.md#{anchor})" in GLOSSARY
    section = OPERATIONS.split(f"{heading}\n")[1].split("\n## ")[0]
    first_cells = " ".join(line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z_]+)`", first_cells)) >= set(names)


def test_no_term_is_defined_twice_and_each_takes_one_line() -> None:
    found = terms()
    assert len(found) == len(set(found))
    assert len(found) > 60
    for line in GLOSSARY.splitlines():
        assert not line.startswith("| ") or line.startswith("| ---") or line.count(" | ") in (1, 2), line
