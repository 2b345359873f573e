"""Reads and writes what is left on Ray's side of attempts that are over: a job to be ended, a log to be kept."""

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
    """An attempt that is over, whose Ray job may be there still."""

    run_id: str
    generation: int
    stage: StageName
    number: int
    submission_id: str
    finished_at: float
    """Unix seconds."""

    @property
    def key(self) -> StageKey:
        """The stage that it is an attempt of."""
        return StageKey(self.run_id, self.generation, self.stage)


def attempts_with_jobs(session: Session, limit: int) -> list[EndedAttempt]:
    """At most `limit` attempts that are over and whose jobs are not closed, those that ended first."""
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
    """The attempt's log is in the artifact root."""
    session.execute(update(AttemptRow).where(AttemptRow.submission_id == submission_id).values(log_saved=True))


def close_job(session: Session, submission_id: str, now: float) -> None:
    """Nothing of the attempt is left on Ray's side."""
    session.execute(update(AttemptRow).where(AttemptRow.submission_id == submission_id).values(job_closed_at=now))
