"""Row-level security: a caller with projects reads and changes only their rows, whatever the statement."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, inspect, select, update

from service.access.own_project import in_own_project
from service.config.run import RunConfig
from service.errors import Forbidden, NotFound
from service.store import visibility
from service.store.database import Database
from service.store.run_store import lock_run
from service.store.schema.tables import (
    AttemptRow,
    DatasetRow,
    EventRow,
    GenerationRow,
    ModelRow,
    RunRow,
    StageRow,
    Table,
)
from service.store.visibility import condition_of, only_projects, visible_projects
from tests.support.workbench import Workbench

WITHOUT_PROJECT = {"idempotency_keys", "leases", "tallies", "web_links", "web_sessions", "webhooks"}
"""Tables without a project. Idempotency keys contain the projects in their text; sessions are read before the caller is
known; the lease and the tallies belong to the reconciler; webhooks receive all projects' events and need callers who
see them all."""


@pytest.fixture
def pets_run(bench: Workbench, run_config: Callable[..., RunConfig]) -> str:
    return str(bench.commands.create_run(run_config(project="pets")).id)


def test_every_table_belongs_to_a_project_or_is_known_not_to() -> None:
    free = {
        mapper.class_.__tablename__
        for mapper in Table.registry.mappers
        if condition_of(mapper.class_, frozenset()) is None
    }
    assert free == WITHOUT_PROJECT


@pytest.mark.attack
@pytest.mark.parametrize("table", [RunRow, GenerationRow, StageRow, EventRow])
def test_rows_of_other_projects_are_not_there(bench: Workbench, pets_run: str, table: type[Table]) -> None:
    database: Database = bench.database
    keys = [getattr(table, column.name) for column in inspect(table).primary_key]
    for projects, seen in ((None, True), (frozenset({"pets", "cars"}), True), (frozenset({"cars"}), False)):
        with only_projects(projects), database.read() as session:
            assert bool(session.execute(select(table)).all()) is seen
            assert bool(session.execute(select(*keys)).all()) is seen
            assert (session.execute(select(func.count()).select_from(table)).scalar_one() > 0) is seen
    with only_projects(frozenset()), database.read() as session:
        assert session.execute(select(table)).all() == []


@pytest.mark.attack
def test_a_get_by_primary_key_finds_nothing_of_another_project(bench: Workbench, pets_run: str) -> None:
    with only_projects(frozenset({"cars"})), bench.database.read() as session:
        assert session.get(RunRow, pets_run) is None
        assert session.get(StageRow, (pets_run, 0, "train")) is None
        assert session.get(DatasetRow, "ds-test") is None
    with only_projects(frozenset({"pets"})), bench.database.read() as session:
        assert session.get(RunRow, pets_run) is not None


@pytest.mark.attack
def test_updates_and_locks_do_not_reach_another_project(bench: Workbench, pets_run: str) -> None:
    with only_projects(frozenset({"cars"})):
        with bench.database.write() as session:
            session.execute(update(RunRow).values(name="stolen"), execution_options={"synchronize_session": False})
        with pytest.raises(NotFound), bench.database.write() as session:
            lock_run(session, pets_run, 1.0)
    with bench.database.read() as session:
        assert session.get(RunRow, pets_run).name == "pets"


@pytest.mark.attack
def test_joins_and_aliases_are_narrowed_too(bench: Workbench, pets_run: str) -> None:
    statement = select(RunRow.id, StageRow.name).join(StageRow, StageRow.run_id == RunRow.id)
    with only_projects(frozenset({"cars"})), bench.database.read() as session:
        assert session.execute(statement).all() == []
    with only_projects(frozenset({"pets"})), bench.database.read() as session:
        assert len(session.execute(statement).all()) > 1


def test_models_and_attempts_belong_to_their_run(bench: Workbench, pets_run: str) -> None:
    bench.play_to_the_end(bench.reconciler())
    for table in (AttemptRow, ModelRow):
        for project, seen in (("pets", True), ("cars", False)):
            with only_projects(frozenset({project})), bench.database.read() as session:
                assert bool(session.scalars(select(table)).all()) is seen, table


def test_a_model_is_of_its_runs_project(bench: Workbench, pets_run: str) -> None:
    bench.play_to_the_end(bench.reconciler())
    with bench.database.read() as session:
        assert set(session.scalars(select(ModelRow.project))) == {"pets"}


def test_the_conditions_of_a_caller_are_made_once(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[type[Table]] = []

    def make(table: type[Table], projects: frozenset[str]) -> Any:
        made.append(table)
        return condition_of(table, projects)

    monkeypatch.setattr(visibility, "condition_of", make)
    new_here = frozenset({str(bench.settings.home)})
    with only_projects(new_here), bench.database.read() as session:
        for _ in range(3):
            session.execute(select(RunRow.id))

    assert made.count(RunRow) == 1


def test_a_request_without_a_project_goes_to_the_callers_only_one(run_config: Callable[..., RunConfig]) -> None:
    with only_projects(frozenset({"pets"})):
        assert in_own_project(run_config()).project == "pets"
        with pytest.raises(Forbidden, match="'pets'"):
            in_own_project(run_config(project="cars"))
    with only_projects(frozenset({"pets", "cars"})), pytest.raises(Forbidden):
        in_own_project(run_config())
    assert in_own_project(run_config()).project == "default"
    assert visible_projects() is None
