"""Reads the queue: the current stage of every run under way."""

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from service.stage_queue import Claim
from service.states import ACTIVE_RUNS, OPEN_ATTEMPTS, RunState, StageState
from service.store.stage_names import stage_name
from service.store.tables import AttemptRow, RunRow, StageRow


def load_claims(session: Session) -> list[Claim]:
    """The stages that are on the cluster, and those of running runs that could be, in no order."""
    running = exists().where(
        AttemptRow.run_id == StageRow.run_id,
        AttemptRow.generation == StageRow.generation,
        AttemptRow.stage == StageRow.name,
        AttemptRow.state.in_([state.value for state in OPEN_ATTEMPTS]),
    )
    rows = session.execute(
        select(
            RunRow.id,
            RunRow.name,
            RunRow.state,
            RunRow.project,
            RunRow.priority,
            StageRow.generation,
            StageRow.name.label("stage"),
            StageRow.ready_at,
            running.label("running"),
        )
        .join(StageRow, StageRow.run_id == RunRow.id)
        .where(
            RunRow.state.in_([state.value for state in ACTIVE_RUNS]),
            # Of the stages that have not succeeded only a run's current one is ready.
            StageRow.state.in_([StageState.PENDING.value, StageState.RUNNING.value]),
            StageRow.ready_at.is_not(None),
        )
    )
    return [
        Claim(
            run_id=row.id,
            run_name=row.name,
            project=row.project,
            priority=row.priority,
            generation=row.generation,
            stage=stage_name(row.stage),
            ready_at=row.ready_at,
            running=bool(row.running),
        )
        for row in rows
        if row.running or row.state == RunState.RUNNING
    ]
