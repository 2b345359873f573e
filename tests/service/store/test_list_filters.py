"""A listing with filters reads only what it returns, however many runs there are."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from service.errors import InvalidRequest
from service.lifecycle.list_filter import ListFilter
from service.lifecycle.states import RunKind, RunState
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.tables import ModelRow, RunRow
from service.store.visibility import only_projects
from tests.service.store.test_query_plans import plan_of

RUNS = 100_000
KEYS = (RunRow.created_at, RunRow.id)
FAILED, PAUSED = frozenset({RunState.FAILED}), frozenset({RunState.FAILED, RunState.PAUSED})


def _page(
    database: Database, wanted: ListFilter, limit: int, cursor: str | None = None
) -> tuple[list[str], str | None]:
    with database.read() as session:
        rows, following = read_page(session, RunRow, KEYS, limit, cursor, RunRow.kind == RunKind.RUN, wanted=wanted)
        return [row.id for row in rows], following


def _add_runs(database: Database, rows: Iterator[tuple[int, RunState, str]]) -> None:
    with database.write_connection() as connection:
        connection.execute(
            insert(RunRow),
            [
                {
                    "id": f"run-{number:06}",
                    "name": "n",
                    "config": "{}",
                    "state": state,
                    "created_at": float(number // 3),
                    "updated_at": 0.0,
                    "project": project,
                    "kind": RunKind.RUN,
                    "priority": 0,
                }
                for number, state, project in rows
            ],
        )


def _many() -> Iterator[tuple[int, RunState, str]]:
    """The failed and the paused runs are among the oldest, and the rest have succeeded."""
    for number in range(RUNS):
        state = {7: RunState.FAILED, 8: RunState.PAUSED, 9: RunState.FAILED}.get(number, RunState.SUCCEEDED)
        yield number, state, "vision" if number in (8, 50) else "default"


def test_among_100_000_runs_the_few_in_a_state_are_found_at_once(database: Database) -> None:
    _add_runs(database, _many())
    for wanted, ids in (
        (ListFilter(states=FAILED), ["run-000009", "run-000007"]),
        (ListFilter(states=PAUSED), ["run-000009", "run-000008", "run-000007"]),
        (ListFilter(states=PAUSED, project="vision"), ["run-000008"]),
        (ListFilter(project="vision"), ["run-000050", "run-000008"]),
        (ListFilter(since=datetime.fromtimestamp(33_333, UTC)), ["run-099999"]),
        (ListFilter(states=FAILED, since=datetime.fromtimestamp(3, UTC)), ["run-000009"]),
        (ListFilter(states=frozenset({RunState.GATED})), []),
    ):
        began = time.perf_counter()
        assert _page(database, wanted, limit=50) == (ids, None)
        assert time.perf_counter() - began < 1.0, wanted  # a walk over all runs would compare 100,000 rows
    with only_projects(frozenset({"vision"})):
        assert _page(database, ListFilter(states=PAUSED), limit=50) == (["run-000008"], None)
        assert _page(database, ListFilter(project="default"), limit=50) == ([], None)


@pytest.mark.parametrize(
    "wanted",
    [
        ListFilter(states=FAILED),
        ListFilter(states=PAUSED),
        ListFilter(states=PAUSED, project="vision"),
        ListFilter(project="vision"),
        ListFilter(since=datetime(2026, 1, 1, tzinfo=UTC)),
        ListFilter(states=PAUSED, project="vision", since=datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_every_filter_is_answered_by_an_index_in_order(database: Database, wanted: ListFilter) -> None:
    _, cursor = [], None
    plan = plan_of(
        database,
        lambda session: read_page(session, RunRow, KEYS, 50, cursor, RunRow.kind == RunKind.RUN, wanted=wanted),
    )
    assert "sort" not in plan.lower()
    assert "temp b-tree" not in plan.lower()
    assert "created_at_id" in plan
    if wanted.states:
        assert "kind_state_created_at_id" in plan
    if wanted.project:
        assert "ix_runs_project_kind" in plan


def test_models_of_a_project_are_found_by_an_index(database: Database) -> None:
    keys = (ModelRow.created_at, ModelRow.id)
    plan = plan_of(
        database, lambda session: read_page(session, ModelRow, keys, 50, None, wanted=ListFilter(project="vision"))
    )
    assert "ix_models_project_created_at_id" in plan
    assert "sort" not in plan.lower()


def test_pages_of_several_states_are_one_listing_without_a_gap(database: Database) -> None:
    states = list(RunState)
    _add_runs(database, ((number, states[number % 5], "default") for number in range(60)))
    wanted = ListFilter(states=frozenset(states[1:4]))
    seen: list[str] = []
    cursor = None
    for _ in range(40):
        ids, cursor = _page(database, wanted, 7, cursor)
        seen += ids
        if cursor is None:
            break
    assert seen == [f"run-{number:06}" for number in reversed(range(60)) if number % 5 in (1, 2, 3)]


def test_a_cursor_is_bound_to_its_filters(database: Database) -> None:
    _add_runs(database, ((number, RunState.FAILED, "default") for number in range(9)))
    _, of_failed = _page(database, ListFilter(states=FAILED), 2)
    _, of_all = _page(database, ListFilter(), 2)
    assert of_failed is not None
    for wanted, cursor in (
        (ListFilter(), of_failed),
        (ListFilter(states=FAILED), of_all),
        (ListFilter(states=PAUSED), of_failed),
        (ListFilter(states=FAILED, project="default"), of_failed),
    ):
        with pytest.raises(InvalidRequest, match="with other filters"):
            _page(database, wanted, 2, cursor)
    assert _page(database, ListFilter(states=FAILED), 2, of_failed)[0] == ["run-000006", "run-000005"]
