"""Which runs retention has to look at: those in which something may have to go that did not at the last look."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, select, union_all, update
from sqlalchemy.orm import Session

from service.config.policies import RetentionPolicy
from service.store.schema.tables import RunRow


@dataclass(frozen=True)
class RetentionLook:
    """What a look at a run has found: nothing to collect before `due_at`."""

    run_id: str
    was_due_at: float | None
    """As it was when the run was read."""
    due_at: float | None


def runs_to_look_at(session: Session, policy: RetentionPolicy, before: float, limit: int) -> dict[str, float | None]:
    """By id since when the look is due, of runs that are due before a time or were looked at with another policy."""
    current = policy.model_dump_json()
    found = select(RunRow.id, RunRow.retention_due_at)
    # A query for each condition, and "is another" in two halves: or else neither database asks the indexes.
    statement = union_all(
        found.where(RunRow.retention_due_at < before),
        found.where(RunRow.retention_policy < current),
        found.where(RunRow.retention_policy > current),
    )
    return {row.id: row.retention_due_at for row in session.execute(statement.limit(limit))}


def note_looks(session: Session, looks: Iterable[RetentionLook], policy: RetentionPolicy) -> None:
    """Puts on record when to look again; not of a run that has changed since it was read."""
    runs = RunRow.__table__
    statement = (
        update(RunRow)
        .where(runs.c.id == bindparam("run"), runs.c.retention_due_at.is_not_distinct_from(bindparam("was_due_at")))
        .values(retention_due_at=bindparam("due_at"), retention_policy=policy.model_dump_json())
    )
    values = [{"run": look.run_id, "was_due_at": look.was_due_at, "due_at": look.due_at} for look in looks]
    if values:
        session.connection().execute(statement, values)
