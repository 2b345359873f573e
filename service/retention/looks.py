"""Finds the runs that retention has to look at: those with artifacts that may have to go since the last look."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, select, union_all, update
from sqlalchemy.orm import Session

from service.config.policies import RetentionPolicy
from service.store.schema.tables import RunRow


@dataclass(frozen=True)
class RetentionLook:
    """The result of a look at a run: there is nothing to collect before `due_at`, in Unix seconds."""

    run_id: str
    was_due_at: float | None
    """The run's due time when the run was read."""
    due_at: float | None


def runs_to_look_at(session: Session, policy: RetentionPolicy, before: float, limit: int) -> dict[str, float | None]:
    """Returns the due times, by run id, of up to `limit` runs that are due before `before` or whose last look was under
    another policy."""
    current = policy.model_dump_json()
    found = select(RunRow.id, RunRow.retention_due_at)
    # One query per condition, with "differs" split into "less" and "greater": only then do both databases use indexes.
    statement = union_all(
        found.where(RunRow.retention_due_at < before),
        found.where(RunRow.retention_policy < current),
        found.where(RunRow.retention_policy > current),
    )
    return {row.id: row.retention_due_at for row in session.execute(statement.limit(limit))}


def note_looks(session: Session, looks: Iterable[RetentionLook], policy: RetentionPolicy) -> None:
    """Records when to look at the runs again, except for runs that have changed since they were read."""
    runs = RunRow.__table__
    statement = (
        update(RunRow)
        .where(runs.c.id == bindparam("run"), runs.c.retention_due_at.is_not_distinct_from(bindparam("was_due_at")))
        .values(retention_due_at=bindparam("due_at"), retention_policy=policy.model_dump_json())
    )
    values = [{"run": look.run_id, "was_due_at": look.was_due_at, "due_at": look.due_at} for look in looks]
    if values:
        session.connection().execute(statement, values)
