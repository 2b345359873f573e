"""Frequent queries read only what is active, however many runs have ended.

In the query plans of both databases, each uses the index that contains only active rows.
"""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from service.metrics.database_figures import (
    LeaseFigures,
    count_open_attempts,
    count_runs,
    count_unfinished_stages,
    read_figures,
)
from service.retention.looks import runs_to_look_at
from service.retention.store import load_run_facts
from service.scheduling.queue_reader import count_running, load_claims
from service.scheduling.quotas import budgets_of
from service.settings import Settings
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.caller_tables import ProjectRow
from service.store.schema.tables import ModelRow
from service.store.visibility import only_projects
from service.webhooks.outbox import (
    delivery_counts,
    due_deliveries,
    forget_delivered,
    let_next_be_tried,
    webhooks_with_work,
)


def plan_of(database: Database, ask: Callable[[Session], object]) -> str:
    """The database's plans for the queries of `ask`. PostgreSQL plans as if its tables were not empty."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    with database.read() as session:
        sqlite = database.engine.dialect.name == "sqlite"
        if not sqlite:
            session.execute(text("set local enable_seqscan = off"))
            session.execute(text("set local enable_bitmapscan = off"))
        event.listen(database.engine, "before_cursor_execute", note)
        ask(session)
        event.remove(database.engine, "before_cursor_execute", note)
        explain = "explain query plan " if sqlite else "explain "
        connection = session.connection()
        return "\n".join(
            str(row[-1])
            for statement, parameters in asked
            for row in connection.exec_driver_sql(explain + statement, parameters)
        )


def test_the_queue_is_read_from_the_ready_stages(database: Database) -> None:
    plan = plan_of(database, load_claims)

    assert "ix_stages_ready" in plan
    assert "ix_attempts_one_open" in plan
    assert "ix_attempts_one_open" in plan_of(database, count_running)


def test_figures_for_prometheus_come_from_indexes_alone(database: Database) -> None:
    runs, stages = plan_of(database, count_runs), plan_of(database, count_unfinished_stages)

    assert "ix_runs_state" in runs
    assert "ix_stages_not_succeeded" in stages
    assert "ix_attempts_one_open" in plan_of(database, count_open_attempts)
    for plan in (runs, stages):
        assert re.search("covering index|index only scan", plan, re.IGNORECASE), "no table is touched"


def test_a_scrape_walks_no_table_that_grows_with_the_runs(database: Database) -> None:
    plan = plan_of(database, lambda session: read_figures(session, 1.0, lambda _: LeaseFigures(1, 0.0)))

    walked = set(re.findall(r"(?:SCAN|Seq Scan on) (\w+)\b(?! USING)", plan)) - {"CONSTANT"}
    assert walked <= {"tallies", "projects", "webhooks"}, plan


def test_what_a_project_spends_now_is_read_from_the_open_attempts(database: Database) -> None:
    with database.write() as session:
        session.add(ProjectRow(name="vision", quota_device_hours=1.0))

    plan = plan_of(database, lambda session: budgets_of(session, session.scalars(select(ProjectRow)), 1.0))

    assert "ix_attempts_one_open" in plan
    assert "ix_runs_project" not in plan


def test_retention_finds_by_an_index_what_is_due_and_who_reads_labels(database: Database) -> None:
    policy = Settings().retention.policy

    due = plan_of(database, lambda session: runs_to_look_at(session, policy, before=1.0, limit=10))
    facts = plan_of(database, lambda session: load_run_facts(session, ["run-1"], policy))

    assert "ix_runs_retention_due_at" in due
    assert due.count("ix_runs_retention_policy") == 2
    assert "ix_runs_source_run_id" in facts


def test_deliveries_that_are_made_are_not_looked_through(database: Database) -> None:
    work = plan_of(database, lambda session: webhooks_with_work(session, 1.0))
    counts = plan_of(database, lambda session: delivery_counts(session, ["hook-1"]))
    forgotten = plan_of(database, lambda session: forget_delivered(session, 1.0))

    assert "ix_webhook_deliveries_due" in work
    assert "ix_webhook_deliveries_webhook_id_state" in counts
    assert re.search(r"state ?= ?(\?|ANY)", counts), "by webhook alone it would walk all that are made"
    assert "ix_webhook_deliveries_delivered" in forgotten


def test_a_backlog_of_deliveries_is_neither_looked_through_nor_sorted(database: Database) -> None:
    due = plan_of(database, lambda session: due_deliveries(session, "hook-1", 1.0))
    following = [
        plan_of(database, lambda session, run_id=run_id: let_next_be_tried(session, "hook-1", run_id, 1.0))  # type: ignore[misc]
        for run_id in ("run-1", None)
    ]

    assert "ix_webhook_deliveries_due" in due
    for plan in following:
        assert "ix_webhook_deliveries_run_pending" in plan
    for plan in (due, *following):
        assert "sort" not in plan.lower()
        assert "temp b-tree" not in plan.lower()


def test_a_project_finds_its_models_by_an_index(database: Database) -> None:
    keys = (ModelRow.created_at, ModelRow.id)

    with only_projects(frozenset({"vision"})):
        plan = plan_of(database, lambda session: read_page(session, ModelRow, keys, 50, None))

    assert "ix_models_project_created_at_id" in plan
    assert "sort" not in plan.lower()
    assert "temp b-tree" not in plan.lower()
