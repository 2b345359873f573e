"""Reads the queue: the current stage of every run under way."""

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from service.stage_queue import Claim
from service.states import ACTIVE_RUNS, OPEN_ATTEMPTS, UNFINISHED_STAGES, RunState
from service.store.index_conditions import one_of
from service.store.stage_names import stage_name
from service.store.tables import AttemptRow, RunRow, StageRow


def load_claims(session: Session) -> list[Claim]:
    """The stages that are on the cluster, and those of running runs that could be, in no order."""
    rows = session.execute(
        select(
            RunRow.id,
            RunRow.name,
            RunRow.project,
            RunRow.priority,
            StageRow.generation,
            StageRow.name,
            StageRow.ready_at,
            AttemptRow.run_id.is_not(None),
            RunRow.state,
        )
        .join(RunRow, RunRow.id == StageRow.run_id)
        .outerjoin(
            AttemptRow,
            and_(
                AttemptRow.run_id == StageRow.run_id,
                AttemptRow.generation == StageRow.generation,
                AttemptRow.stage == StageRow.name,
                one_of(AttemptRow.state, OPEN_ATTEMPTS),  # at most one
            ),
        )
        .where(
            # Of the stages that have not succeeded only a run's current one is ready.
            StageRow.ready_at.is_not(None),
            one_of(StageRow.state, UNFINISHED_STAGES),
            RunRow.state.in_([state.value for state in ACTIVE_RUNS]),
        )
    )
    return [
        Claim(run_id, run_name, project, priority, generation, stage_name(stage), ready_at, bool(running))
        for run_id, run_name, project, priority, generation, stage, ready_at, running, state in rows
        if ready_at is not None and (running or state == RunState.RUNNING)
    ]
