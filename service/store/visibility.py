"""Row-level security: the sessions of a caller with projects see and change only the rows of those projects.

This module narrows every query and command, so that none can forget to. A table's `project` or `run_id` column gives
the project of its rows; tests/service/access/test_visibility.py lists the few tables that have neither.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from sqlalchemy import ColumnElement, exists, or_
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from service.store.schema import reconciler_tables as _reconciler_tables  # noqa: F401  # registers its tables
from service.store.schema import review_tables as _review_tables  # noqa: F401  # registers its table
from service.store.schema.caller_tables import ProjectRow
from service.store.schema.tables import RunRow, Table

_PROJECTS: ContextVar[frozenset[str] | None] = ContextVar("visible_projects", default=None)

_CALLER: ContextVar[str] = ContextVar("acting_caller", default="")


@contextmanager
def acting_as(caller: str, projects: frozenset[str] | None) -> Iterator[None]:
    """Narrows sessions as `only_projects` does, and makes `caller` the one for whom answers are stored."""
    token = _CALLER.set(caller)
    try:
        with only_projects(projects):
            yield
    finally:
        _CALLER.reset(token)


@contextmanager
def only_projects(projects: frozenset[str] | None) -> Iterator[None]:
    """Makes sessions see only the rows of these projects, or all rows if None. Threads that anyio starts inherit it."""
    token = _PROJECTS.set(projects)
    try:
        yield
    finally:
        _PROJECTS.reset(token)


def acting_caller() -> str:
    """Returns the caller who makes the request, or "" for the service itself."""
    return _CALLER.get()


def visible_projects() -> frozenset[str] | None:
    """Returns the projects of the caller, or None if it sees all of them, as the reconciler does."""
    return _PROJECTS.get()


def narrow_to_visible_rows(state: ORMExecuteState) -> None:
    """Adds the condition to each table of the statement, including subqueries. A listener for `do_orm_execute`."""
    projects = _PROJECTS.get()
    if projects is None or state.is_column_load or state.is_relationship_load:
        return
    state.statement = state.statement.options(*_criteria(projects))


@lru_cache(maxsize=256)
def _criteria(projects: frozenset[str]) -> tuple[ExecutableOption, ...]:
    """Returns the conditions for all tables. They are cached because building them takes ten times as long as a small
    query."""
    conditions = {mapper.class_: condition_of(mapper.class_, projects) for mapper in Table.registry.mappers}
    return tuple(
        with_loader_criteria(table, condition) for table, condition in conditions.items() if condition is not None
    )


def condition_of(table: type[Table], projects: frozenset[str]) -> ColumnElement[bool] | None:
    """Returns the condition that a visible row of the table meets, or None for a table that belongs to no project."""
    columns = table.__table__.c
    if table is ProjectRow:
        return columns.name.in_(sorted(projects))
    owners = [columns[name] for name in ("project", "target_project") if name in columns]
    if owners:
        return or_(*(owner.in_(sorted(projects)) for owner in owners))
    if "run_id" in columns:
        runs = RunRow.__table__.alias("visible_runs")
        # A lookup by primary key per row. `in` would list all visible runs for every query.
        return exists().where(runs.c.id == columns.run_id, runs.c.project.in_(sorted(projects)))
    return None
