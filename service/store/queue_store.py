"""Reads the queue: the stages that are ready, and how many are on the cluster."""

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from service.lifecycle.states import OPEN_ATTEMPTS, UNFINISHED_STAGES, RunState
from service.stage_queue import Claim
from service.stages.order import stage_name
from service.store.index_conditions import one_of
from service.store.tables import AttemptRow, RunRow, StageRow


def load_claims(session: Session) -> list[Claim]:
    """The stages of running runs that could be on the cluster and are not, in no order."""
    has_attempt = exists().where(AttemptRow.run_id == StageRow.run_id, one_of(AttemptRow.state, OPEN_ATTEMPTS))
    rows = session.execute(
        select(
            RunRow.id,
            RunRow.name,
            RunRow.project,
            RunRow.priority,
            StageRow.generation,
            StageRow.name,
            StageRow.ready_at,
        )
        .join(RunRow, RunRow.id == StageRow.run_id)
        .where(
            # Of the stages that have not succeeded only a run's current one is ready.
            StageRow.ready_at.is_not(None),
            one_of(StageRow.state, UNFINISHED_STAGES),
            RunRow.state == RunState.RUNNING,
            ~has_attempt,
        )
    )
    return [
        Claim(run_id, run_name, project, priority, generation, stage_name(stage), ready_at)
        for run_id, run_name, project, priority, generation, stage, ready_at in rows
        if ready_at is not None
    ]


def count_running(session: Session) -> dict[str, int]:
    """How many stages have an attempt on the cluster, or one that is on its way there or back, by project."""
    # A look-up for each open attempt: as a join, all runs of the projects would be read.
    project = select(RunRow.project).where(RunRow.id == AttemptRow.run_id).scalar_subquery().label("project")
    counts = select(project, func.count()).where(one_of(AttemptRow.state, OPEN_ATTEMPTS)).group_by("project")
    return {row[0]: row[1] for row in session.execute(counts)}
