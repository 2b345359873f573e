"""Row-level security: a session of a caller with projects sees and changes the rows of those projects only.

Every query and command is narrowed here, so that none can forget to. A table belongs to a project by its column
`project`, or by `run_id`; the few that do not are listed in tests/service/access/test_visibility.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from service.store.schema.caller_tables import ProjectRow
from service.store.schema.tables import RunRow, Table

_PROJECTS: ContextVar[frozenset[str] | None] = ContextVar("visible_projects", default=None)

_CALLER: ContextVar[str] = ContextVar("acting_caller", default="")


@contextmanager
def acting_as(caller: str, projects: frozenset[str] | None) -> Iterator[None]:
    """Within it, sessions see what `only_projects` says, and what is kept for a caller is kept for this one."""
    token = _CALLER.set(caller)
    try:
        with only_projects(projects):
            yield
    finally:
        _CALLER.reset(token)


@contextmanager
def only_projects(projects: frozenset[str] | None) -> Iterator[None]:
    """Within it, sessions see the rows of these projects; None: of all. Threads started by way of anyio inherit it."""
    token = _PROJECTS.set(projects)
    try:
        yield
    finally:
        _PROJECTS.reset(token)


def acting_caller() -> str:
    """Who makes the request; empty for the service itself."""
    return _CALLER.get()


def visible_projects() -> frozenset[str] | None:
    """The projects of the caller; None: all, as for the reconciler."""
    return _PROJECTS.get()


def narrow_to_visible_rows(state: ORMExecuteState) -> None:
    """Listens to `do_orm_execute`: adds the condition to each table of the statement, subqueries included."""
    projects = _PROJECTS.get()
    if projects is None or state.is_column_load or state.is_relationship_load:
        return
    state.statement = state.statement.options(*_criteria(projects))


@lru_cache(maxsize=256)
def _criteria(projects: frozenset[str]) -> tuple[ExecutableOption, ...]:
    """Kept: to make them takes ten times as long as a small query."""
    conditions = {mapper.class_: condition_of(mapper.class_, projects) for mapper in Table.registry.mappers}
    return tuple(
        with_loader_criteria(table, condition) for table, condition in conditions.items() if condition is not None
    )


def condition_of(table: type[Table], projects: frozenset[str]) -> ColumnElement[bool] | None:
    """What a visible row of the table fulfils; None for a table that belongs to no project."""
    columns = table.__table__.c
    if table is ProjectRow:
        return columns.name.in_(sorted(projects))
    owners = [columns[name] for name in ("project", "target_project") if name in columns]
    if owners:
        return or_(*(owner.in_(sorted(projects)) for owner in owners))
    if "run_id" in columns:
        runs = RunRow.__table__.alias("visible_runs")
        # By primary key, a row at a time: a list of all visible runs would be made for every query.
        return exists().where(runs.c.id == columns.run_id, runs.c.project.in_(sorted(projects)))
    return None
