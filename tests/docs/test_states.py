"""The diagrams in docs/states.md equal the tables of allowed transitions."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from service.lifecycle.states import ALLOWED_ATTEMPT, ALLOWED_GENERATION, ALLOWED_RUN, ALLOWED_STAGE

PAGE = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
TABLES: list[tuple[str, Any]] = [
    ("Runs", ALLOWED_RUN),
    ("Generations", ALLOWED_GENERATION),
    ("Stages", ALLOWED_STAGE),
    ("Attempts", ALLOWED_ATTEMPT),
]
BORDER = "[*]"
"""mermaid's name for both the start and the end."""


def drawn(heading: str) -> list[tuple[str, str]]:
    """The arrows of the diagram below the heading, in order. Each has a label that says what causes it."""
    found = re.search(rf"^## {heading}\n\n```mermaid\nstateDiagram-v2\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    arrows = []
    for line in found[1].splitlines():
        arrow = re.fullmatch(r"    (\S+) --> ([^\s:]+)(: \S.*)?", line)
        assert arrow is not None, line
        assert arrow[3] or BORDER in (arrow[1], arrow[2]), f"{line!r} does not say why"
        arrows.append((arrow[1], arrow[2]))
    return arrows


def allowed_arrows(allowed: Mapping[StrEnum, frozenset[StrEnum]]) -> set[tuple[str, str]]:
    """The table's arrows, with the first state as the start, and states that nothing follows as ends."""
    between = {(before.value, after.value) for before, afters in allowed.items() for after in afters}
    ends = {(state.value, BORDER) for state, afters in allowed.items() if not afters}
    return between | ends | {(BORDER, next(iter(allowed)).value)}


@pytest.mark.parametrize(("heading", "allowed"), TABLES)
def test_the_diagram_has_the_arrows_of_the_table_and_no_others(heading: str, allowed: Any) -> None:
    arrows = drawn(heading)
    assert len(arrows) == len(set(arrows)), "an arrow is drawn twice"
    assert set(arrows) == allowed_arrows(allowed)
