"""Reads and writes projects: their quotas, and the device time that their attempts have used."""

from collections.abc import Iterable

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.lifecycle.states import OPEN_ATTEMPTS
from service.scheduling.queue import Budget
from service.store.run_store import ensure_project
from service.store.schema.caller_tables import ProjectRow
from service.store.schema.columns import one_of
from service.store.schema.tables import AttemptRow, RunRow

SECONDS_AN_HOUR = 3600.0


def set_quota(session: Session, name: str, device_hours: float | None) -> None:
    """Sets the project's quota, None for no limit. Adds the project if it does not exist."""
    ensure_project(session, name)
    session.execute(update(ProjectRow).where(ProjectRow.name == name).values(quota_device_hours=device_hours))


def charge_attempt(session: Session, submission_id: str, now: float) -> None:
    """Adds the device seconds of an attempt that ends at `now`, in Unix seconds, to what its project has spent."""
    attempt = session.execute(
        select(AttemptRow.submitted_at, AttemptRow.devices, RunRow.project)
        .join(RunRow, RunRow.id == AttemptRow.run_id)
        .where(AttemptRow.submission_id == submission_id)
    ).one()
    if attempt.submitted_at is None:
        return
    seconds = attempt.devices * max(0.0, now - attempt.submitted_at)
    session.execute(
        update(ProjectRow)
        .where(ProjectRow.name == attempt.project)
        .values(spent_device_seconds=ProjectRow.spent_device_seconds + seconds)
    )


def budgets_with_quota(session: Session, now: float) -> dict[str, Budget]:
    """Returns the budgets of all projects that have a quota, by name."""
    return budgets_of(
        session, session.scalars(select(ProjectRow).where(ProjectRow.quota_device_hours.is_not(None))), now
    )


def budgets_of(session: Session, projects: Iterable[ProjectRow], now: float) -> dict[str, Budget]:
    """Returns the projects' budgets by name. What they have spent includes their open attempts up to `now`."""
    rows = list(projects)
    if not rows:
        return {}
    taken = func.sum(AttemptRow.devices * (now - AttemptRow.submitted_at)).label("taken")
    # A subquery per open attempt: a join would read all runs of the projects.
    project = select(RunRow.project).where(RunRow.id == AttemptRow.run_id).scalar_subquery().label("project")
    under_way = session.execute(
        select(project, taken)
        .where(one_of(AttemptRow.state, OPEN_ATTEMPTS), AttemptRow.submitted_at.is_not(None))
        .group_by("project")
    )
    open_seconds = {row.project: row.taken for row in under_way}
    return {
        row.name: Budget(
            quota_device_hours=row.quota_device_hours,
            spent_device_hours=(row.spent_device_seconds + max(0.0, open_seconds.get(row.name, 0.0))) / SECONDS_AN_HOUR,
        )
        for row in rows
    }
