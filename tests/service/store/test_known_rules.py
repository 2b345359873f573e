"""The rules of active runs are read once."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, select, update

from service.config.run import RunConfig
from service.lifecycle.run_rules import rules_of
from service.store.schema.tables import RunRow
from service.store.snapshot_store import KnownRules
from tests.support.workbench import Workbench


def test_configurations_are_read_once_and_say_the_same(bench: Workbench, run_config: Callable[..., RunConfig]) -> None:
    runs = [
        bench.commands.create_run(run_config(fault_tolerance={"retry": {"max_attempts": attempts}})).id
        for attempts in (1, 2)
    ]
    known, read = KnownRules(), []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        read.append(statement)

    with bench.database.read() as session:
        texts = {run.id: run.config for run in session.execute(select(RunRow.id, RunRow.config))}
        event.listen(session.connection().engine, "before_cursor_execute", note)
        looks = [known.of(session, wanted) for wanted in (runs[:1], runs, runs, [*runs, "run-of-nobody"])]

    everything = {run: rules_of(texts[run]) for run in runs}
    assert looks == [{runs[0]: everything[runs[0]]}, everything, everything, everything]
    assert len(read) == 3  # the first run, the second, and the one that does not exist


def test_rules_of_runs_that_are_over_are_forgotten(bench: Workbench, run_config: Callable[..., RunConfig]) -> None:
    runs = [bench.commands.create_run(run_config()).id for _ in range(2)]
    known, read = KnownRules(), []
    with bench.database.read() as session:
        known.of(session, runs)
        known.forget_all_but(runs[1:])
        event.listen(session.connection().engine, "before_cursor_execute", lambda *given: read.append(given[3]))
        known.of(session, runs)

    assert [str(parameters) for parameters in read if runs[1] in str(parameters)] == []
    assert len(read) == 1


def test_a_configuration_of_another_version_keeps_no_other_run_waiting(
    bench: Workbench, run_config: Callable[..., RunConfig]
) -> None:
    """After a rollback, a run may have a field that only the newer version knows."""
    newer, other = (bench.commands.create_run(run_config()).id for _ in range(2))
    with bench.database.write() as session:
        config = json.loads(session.execute(select(RunRow.config).where(RunRow.id == newer)).scalar_one())
        session.execute(update(RunRow).where(RunRow.id == newer).values(config=json.dumps({**config, "news": 1})))
    reconciler = bench.new_reconciler()

    for _ in range(3):
        reconciler.tick()

    assert [job["submission_id"] for job in bench.ray.submits] == [f"{other}-g0-train-a1"]
    [told] = [event for event in bench.queries.list_events(newer).items if event.kind == "reconcile_failed"]
    assert "news" in told.message
