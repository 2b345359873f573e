"""Reads and writes what remains at Ray of ended attempts: a job to stop, a log to save."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.config.stage_key import StageKey
from service.lifecycle.states import OPEN_ATTEMPTS
from service.stages.order import stage_name
from service.store.schema.tables import AttemptRow
from workers.specs.stages import StageName


@dataclass(frozen=True)
class EndedAttempt:
    """An attempt that is over but whose Ray job may still exist."""

    run_id: str
    generation: int
    stage: StageName
    number: int
    submission_id: str
    finished_at: float
    """When the attempt ended, in Unix seconds."""

    @property
    def key(self) -> StageKey:
        """The key of the attempt's stage."""
        return StageKey(self.run_id, self.generation, self.stage)


def attempts_with_jobs(session: Session, limit: int) -> list[EndedAttempt]:
    """Returns at most `limit` attempts that are over and whose jobs are not closed, those that ended first."""
    rows = session.scalars(
        select(AttemptRow)
        .where(
            AttemptRow.job_closed_at.is_(None),
            AttemptRow.finished_at.is_not(None),
            AttemptRow.state.not_in([state.value for state in OPEN_ATTEMPTS]),
        )
        .order_by(AttemptRow.finished_at)
        .limit(limit)
    )
    return [
        EndedAttempt(
            run_id=row.run_id,
            generation=row.generation,
            stage=stage_name(row.stage),
            number=row.number,
            submission_id=row.submission_id,
            finished_at=row.finished_at or 0.0,
        )
        for row in rows
    ]


def mark_log_saved(session: Session, submission_id: str) -> None:
    """Records that the attempt's log is in the artifact root."""
    session.execute(update(AttemptRow).where(AttemptRow.submission_id == submission_id).values(log_saved=True))


def close_job(session: Session, submission_id: str, now: float) -> None:
    """Records that nothing of the attempt is left at Ray. `now` is in Unix seconds."""
    session.execute(update(AttemptRow).where(AttemptRow.submission_id == submission_id).values(job_closed_at=now))
