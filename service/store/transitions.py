"""Changes states. Each statement checks the change against the table of allowed transitions, and what ends is counted
in the same transaction."""

import json
from typing import Any

from sqlalchemy import CursorResult, Update, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.config.stage_key import StageKey
from service.lifecycle.states import (
    ALLOWED_ATTEMPT,
    ALLOWED_GENERATION,
    ALLOWED_RUN,
    ALLOWED_STAGE,
    ENDED_ATTEMPTS,
    AttemptState,
    GenerationState,
    RunState,
    StageState,
    states_before,
)
from service.store.schema.reconciler_tables import TallyRow
from service.store.schema.tables import AttemptRow, GenerationRow, RunRow, StageRow

IMAGES_OF_RESULT = {"label": "labeled", "select": "kept", "train": "images_seen"}
"""Which field of a stage's result says how many images it has worked on."""


class TransitionRefused(Exception):
    """The change of state is not allowed, because the recorded state has changed since it was read."""


def set_run_state(session: Session, run_id: str, state: RunState, **values: Any) -> None:
    """Changes the run's state and the columns in `values`. Like all functions here, it raises TransitionRefused."""
    before = states_before(ALLOWED_RUN, state)
    statement = update(RunRow).where(RunRow.id == run_id, RunRow.state.in_(before)).values(state=state, **values)
    _change_one(session, statement, f"{run_id} may not become {state}")


def set_generation_state(session: Session, run_id: str, number: int, state: GenerationState) -> None:
    before = states_before(ALLOWED_GENERATION, state)
    statement = (
        update(GenerationRow)
        .where(GenerationRow.run_id == run_id, GenerationRow.number == number, GenerationRow.state.in_(before))
        .values(state=state)
    )
    _change_one(session, statement, f"generation {number} of {run_id} may not become {state}")


def set_stage_state(session: Session, key: StageKey, state: StageState, **values: Any) -> None:
    before = states_before(ALLOWED_STAGE, state)
    statement = (
        update(StageRow)
        .where(
            StageRow.run_id == key.run_id,
            StageRow.generation == key.generation,
            StageRow.name == key.stage,
            StageRow.state.in_(before),
        )
        .values(state=state, **values)
    )
    _change_one(session, statement, f"{key.stage_id} may not become {state}")
    if state is StageState.SUCCEEDED:
        look_again(session, key.run_id, values["finished_at"])  # the stage left artifacts and superseded others
        if key.stage in IMAGES_OF_RESULT:
            _tally(session, "images", key.stage, json.loads(values["result"])[IMAGES_OF_RESULT[key.stage]])


def set_attempt_state(session: Session, submission_id: str, state: AttemptState, **values: Any) -> None:
    before = states_before(ALLOWED_ATTEMPT, state)
    statement = (
        update(AttemptRow)
        .where(AttemptRow.submission_id == submission_id, AttemptRow.state.in_(before))
        .values(state=state, **values)
    )
    _change_one(session, statement, f"attempt {submission_id} may not become {state}")
    if state in ENDED_ATTEMPTS:
        ended = select(AttemptRow.stage, AttemptRow.failure_reason).where(AttemptRow.submission_id == submission_id)
        stage, reason = session.execute(ended).one()
        _tally(session, "attempts", stage, 1, outcome=state, reason=reason or "")


def _change_one(session: Session, statement: Update, refusal: str) -> None:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    if result.rowcount != 1:
        raise TransitionRefused(refusal)


def look_again(session: Session, run_id: str, now: float) -> None:
    """Makes retention look at the run again, because artifacts that it kept so far may have to go."""
    session.execute(
        update(RunRow)
        .where(RunRow.id == run_id)
        .values(retention_due_at=now)
        .execution_options(synchronize_session=False)
    )


def _tally(session: Session, name: str, stage: str, count: int, outcome: str = "", reason: str = "") -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(TallyRow).values(name=name, stage=stage, outcome=outcome, reason=reason, value=count)
    keys = [TallyRow.name, TallyRow.stage, TallyRow.outcome, TallyRow.reason]
    session.execute(
        statement.on_conflict_do_update(index_elements=keys, set_={"value": TallyRow.value + count}),
        execution_options={"synchronize_session": False},
    )
