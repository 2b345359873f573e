"""The store's guarded writes and listings, on both kinds of database."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from service.config.events import EventKind
from service.config.run import GenerationPlan, RunConfig
from service.config.stage_key import StageKey
from service.errors import InvalidRequest
from service.lifecycle.snapshots import RunSnapshot
from service.lifecycle.states import AttemptState, GenerationState, RunState, StageState
from service.reconcile.lease import (
    LeaseLost,
    claim_lease,
    database_clock,
    fenced_write,
    release_lease,
    renew_lease,
)
from service.store.database import Database
from service.store.paging import read_page
from service.store.run_store import add_event, insert_run
from service.store.schema.tables import AttemptRow, EventRow, StageRow
from service.store.snapshot_store import KnownRules, load_active_runs, load_snapshot
from service.store.transitions import TransitionRefused, set_attempt_state, set_run_state, set_stage_state
from tests.at_once import at_once, join
from tests.support.workbench import Workbench
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings

PLAN = GenerationPlan(model="small", recipe=Recipe(), selection=SelectionSettings(), seed=1)
NOW = 100.0


@pytest.fixture
def run_id(database: Database, run_config: Callable[..., RunConfig]) -> str:
    with database.write() as session:
        insert_run(session, "run-1", run_config(), [PLAN, PLAN], NOW)
    return "run-1"


def make_attempt(number: int, state: AttemptState) -> AttemptRow:
    return AttemptRow(
        run_id="run-1",
        generation=0,
        stage="train",
        number=number,
        submission_id=f"run-1-g0-train-a{number}",
        state=state,
        created_at=NOW,
    )


def load(database: Database) -> RunSnapshot:
    with database.read() as session:
        return load_snapshot(session, "run-1")


def test_a_new_run_is_running_and_its_parts_are_pending(database: Database, run_id: str) -> None:
    snapshot = load(database)

    assert snapshot.state is RunState.RUNNING
    assert [generation.state for generation in snapshot.generations] == [GenerationState.PENDING] * 2
    assert [[stage.name for stage in generation.stages] for generation in snapshot.generations] == [
        ["train", "evaluate"],
        ["label", "select", "train", "evaluate"],
    ]
    with database.read() as session:
        ready = session.query(StageRow).where(StageRow.ready_at.is_not(None)).all()
    assert [(row.generation, row.name, row.ready_at) for row in ready] == [(0, "train", NOW)]


def test_a_stage_cannot_have_two_open_attempts_whatever_the_code_does(database: Database, run_id: str) -> None:
    with database.write() as session:
        session.add(make_attempt(1, AttemptState.FAILED))
        session.add(make_attempt(2, AttemptState.SUBMITTED))

    with pytest.raises(IntegrityError), database.write() as session:
        session.add(make_attempt(3, AttemptState.SUBMITTING))

    assert [attempt.number for attempt in load(database).generations[0].stages[0].attempts] == [1, 2]


def test_an_attempt_without_its_stage_is_refused(database: Database, run_id: str) -> None:
    orphan = make_attempt(1, AttemptState.SUBMITTING)
    orphan.generation = 7

    with pytest.raises(IntegrityError), database.write() as session:
        session.add(orphan)


def test_a_transition_that_is_not_allowed_changes_nothing(database: Database, run_id: str) -> None:
    def add_and_skip_a_state() -> None:
        with database.write() as session:
            add_event(session, run_id, NOW, EventKind.PROMOTED, "rolled back with the rest")
            set_stage_state(session, StageKey(run_id, 0, "train"), StageState.SUCCEEDED)

    with pytest.raises(TransitionRefused):
        add_and_skip_a_state()

    with database.read() as session:
        assert session.query(EventRow).count() == 0
    assert load(database).generations[0].stages[0].state is StageState.PENDING


def test_an_attempt_that_is_over_stays_over(database: Database, run_id: str) -> None:
    with database.write() as session:
        session.add(make_attempt(1, AttemptState.SUCCEEDED))

    with pytest.raises(TransitionRefused), database.write() as session:
        set_attempt_state(session, "run-1-g0-train-a1", AttemptState.FAILED)


def test_runs_that_are_over_are_not_active(database: Database, run_id: str) -> None:
    with database.read() as session:
        assert [run.run_id for run in load_active_runs(session, KnownRules())] == [run_id]

    with database.write() as session:
        set_run_state(session, run_id, RunState.SUCCEEDED)

    with database.read() as session:
        assert load_active_runs(session, KnownRules()) == []


def at(seconds: float) -> Callable[[Any], float]:
    """A database clock that stands still."""
    return lambda _session: seconds


def test_only_one_of_two_gets_the_lease_until_it_expires(database: Database) -> None:
    assert claim_lease(database, "first", 10, at(100)) == 1
    assert claim_lease(database, "second", 10, at(109.9)) is None
    assert claim_lease(database, "second", 10, at(110)) == 2

    with pytest.raises(LeaseLost):
        renew_lease(database, 1, 10, at(111))
    renew_lease(database, 2, 10, at(115))
    assert claim_lease(database, "first", 10, at(124.9)) is None


def test_a_released_lease_is_free_and_only_its_holder_can_release_it(database: Database) -> None:
    assert claim_lease(database, "first", 10, at(100)) == 1

    with pytest.raises(LeaseLost):
        release_lease(database, 0)
    assert claim_lease(database, "second", 10, at(101)) is None
    release_lease(database, 1)
    assert claim_lease(database, "second", 10, at(101)) == 2


def test_a_lease_of_a_clock_that_was_set_back_counts_as_ended(database: Database) -> None:
    claim_lease(database, "first", 10, at(1_000_000))

    assert claim_lease(database, "second", 10, at(100)) == 2


def test_the_databases_own_clock_is_unix_time(database: Database) -> None:
    with database.read() as session:
        assert database_clock(session) == pytest.approx(time.time(), abs=1)


def test_a_write_of_one_who_lost_the_lease_is_dropped(database: Database, run_id: str) -> None:
    claim_lease(database, "first", 10, at(0))
    claim_lease(database, "second", 10, at(10))

    with pytest.raises(LeaseLost), fenced_write(database, run_id, 1, NOW) as session:
        add_event(session, run_id, NOW, EventKind.PROMOTED, "too late")

    with database.read() as session:
        assert session.query(EventRow).count() == 0


def test_of_many_claims_at_once_exactly_one_wins(database: Database) -> None:
    claims = [partial(claim_lease, database, f"holder {number}", 10, at(0)) for number in range(6)]

    tokens = at_once(claims)

    assert [token for token in tokens if token is not None] == [1]


def test_nobody_takes_the_lease_in_the_middle_of_a_fenced_write(database: Database, run_id: str) -> None:
    claim_lease(database, "first", 10, at(0))
    tokens: list[int | None] = []
    other = threading.Thread(target=lambda: tokens.append(claim_lease(database, "second", 10, at(10))), daemon=True)

    with fenced_write(database, run_id, 1, NOW) as session:
        other.start()
        other.join(timeout=0.2)
        assert tokens == []
        add_event(session, run_id, NOW, EventKind.PROMOTED, "in time")
    join(other)

    assert tokens == [2]


def test_a_read_then_write_waits_for_another_writer_instead_of_failing(database: Database, run_id: str) -> None:
    """This is why there is `begin immediate`: SQLite fails at once if a snapshot that was read is stale."""

    def add() -> None:
        with database.write() as session:
            session.query(EventRow).count()
            add_event(session, run_id, NOW, EventKind.PROMOTED, "")

    at_once([add] * 4)

    with database.read() as session:
        assert session.query(EventRow).count() == 4


def test_sqlite_writes_ahead_and_checks_foreign_keys(database: Database) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL always does")
    with database.read() as session:
        assert session.execute(text("pragma journal_mode")).scalar_one() == "wal"
        assert session.execute(text("pragma foreign_keys")).scalar_one() == 1


def list_events(database: Database, limit: int, cursor: str | None = None) -> tuple[list[str], str | None]:
    with database.read() as session:
        rows, following = read_page(session, EventRow, (EventRow.at, EventRow.id), limit, cursor)
        return [row.message for row in rows], following


def test_pages_are_newest_first_and_complete_though_times_repeat(database: Database, run_id: str) -> None:
    with database.write() as session:
        for number in range(7):
            add_event(session, run_id, 100.1 + number // 3, EventKind.PROMOTED, str(number))

    seen: list[str] = []
    cursor = None
    for _ in range(4):
        messages, cursor = list_events(database, limit=2, cursor=cursor)
        seen += messages

    assert cursor is None
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]


def test_rows_added_while_paging_do_not_move_the_next_page(database: Database, run_id: str) -> None:
    with database.write() as session:
        for number in range(4):
            add_event(session, run_id, NOW, EventKind.PROMOTED, str(number))
    _, cursor = list_events(database, limit=2)

    with database.write() as session:
        add_event(session, run_id, NOW, EventKind.PROMOTED, "new")

    assert list_events(database, limit=2, cursor=cursor) == (["1", "0"], None)


@pytest.mark.parametrize("cursor", ["nonsense", "bm90IGpzb24=", "WzEsIDJd", "WyJhIiwgImIiXQ==", "é", "W10="])
def test_a_cursor_that_is_not_ours_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        list_events(database, limit=2, cursor=cursor)

    assert caught.value.field == "cursor"


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_limit_out_of_range_is_refused(database: Database, limit: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        list_events(database, limit=limit)

    assert caught.value.field == "limit"


def test_a_snapshot_carries_what_the_decision_needs(database: Database, run_id: str) -> None:
    with database.write() as session:
        session.add(make_attempt(2, AttemptState.SUBMITTED))
        failed = make_attempt(1, AttemptState.FAILED)
        failed.failure_reason, failed.failure_message, failed.finished_at = "job_lost", "gone", NOW + 1
        session.add(failed)

    stage: Any = load(database).current_stage

    assert [attempt.number for attempt in stage.attempts] == [1, 2]
    assert (stage.attempts[0].failure_reason, stage.attempts[0].finished_at) == ("job_lost", NOW + 1)
    assert stage.open_attempt.number == 2


def test_a_run_created_while_the_reconciler_reads_is_seen_whole_or_not_at_all(
    bench: Workbench, run_config: Callable[..., RunConfig]
) -> None:
    late: list[str] = []

    def create_a_run(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not late and "FROM runs" in statement:  # the snapshot's last query that reads all runs
            late.append("")
            late.append(bench.commands.create_run(run_config()).id)

    with bench.database.read() as session:
        event.listen(session.connection().engine, "before_cursor_execute", create_a_run)
        found = load_active_runs(session, KnownRules())

    assert len(late) == 2
    assert [run.run_id for run in found if not run.generations] == []
