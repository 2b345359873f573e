"""The tables of allowed transitions."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

import pytest

from service.lifecycle.states import (
    ALLOWED_ATTEMPT,
    ALLOWED_GENERATION,
    ALLOWED_RUN,
    ALLOWED_STAGE,
    OPEN_ATTEMPTS,
    AttemptState,
    GenerationState,
    RunState,
    StageState,
    states_before,
)

TABLES: list[tuple[Any, type[StrEnum]]] = [
    (ALLOWED_RUN, RunState),
    (ALLOWED_GENERATION, GenerationState),
    (ALLOWED_STAGE, StageState),
    (ALLOWED_ATTEMPT, AttemptState),
]

Table = Mapping[StrEnum, Collection[StrEnum]]


@pytest.mark.parametrize(("allowed", "states"), TABLES)
def test_every_state_has_its_row_in_the_table(allowed: Table, states: type[StrEnum]) -> None:
    assert set(allowed) == set(states)


@pytest.mark.parametrize(("allowed", "states"), TABLES)
def test_every_state_can_be_reached_from_the_first(allowed: Table, states: type[StrEnum]) -> None:
    reached = {next(iter(states))}
    for _ in states:
        reached |= {after for before in reached for after in allowed[before]}

    assert reached == set(states)


def test_an_attempt_that_is_over_never_changes_again() -> None:
    for state in set(AttemptState) - OPEN_ATTEMPTS:
        assert not ALLOWED_ATTEMPT[state]


def test_a_stage_that_has_succeeded_is_kept_whatever_happens() -> None:
    assert not ALLOWED_STAGE[StageState.SUCCEEDED]


def test_states_before_inverts_the_table() -> None:
    assert states_before(ALLOWED_RUN, RunState.CANCELLED) == [RunState.CANCELLING]
