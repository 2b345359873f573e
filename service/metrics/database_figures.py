"""Reads what the database knows: of what is under way by indexes, of what is over from the rows that count it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.lifecycle.states import NOT_SUCCEEDED_STAGES, OPEN_ATTEMPTS, AttemptState, DeliveryState
from service.scheduling.queue_reader import load_claims
from service.scheduling.quotas import SECONDS_AN_HOUR, budgets_of
from service.store.schema.caller_tables import ProjectRow, WebhookRow
from service.store.schema.columns import one_of
from service.store.schema.reconciler_tables import LeaseRow, TallyRow
from service.store.schema.tables import AttemptRow, EventRow, RunRow, StageRow
from service.webhooks.outbox import delivery_counts


@dataclass(frozen=True)
class LeaseFigures:
    """Of the reconcilers' lease."""

    claims: int
    """How often a reconciler has taken it."""
    age_seconds: float
    """Since it was last renewed; infinite where nobody has it."""


@dataclass(frozen=True)
class DatabaseFigures:
    """One look at the whole service: all of it is of the same moment."""

    runs: Mapping[str, int]
    """By state."""
    unfinished_stages: Mapping[tuple[str, str], int]
    """By stage and state; without those that have succeeded."""
    open_attempts: Mapping[str, int]
    """By state."""
    ended_attempts: Mapping[tuple[str, str, str], int]
    """By stage, final state and reason."""
    images: Mapping[str, int]
    """By stage: what those that have succeeded have worked on."""
    queued_stages: int
    oldest_wait_seconds: float
    device_seconds: Mapping[str, float]
    """By project, with what is under way."""
    lease: LeaseFigures
    deliveries: Mapping[str, int]
    """To webhooks, by state; without those that are made."""
    unqueued_events: int
    """Events that the webhook furthest behind has not been looked through for."""


def read_figures(session: Session, now: float, lease: Callable[[Session], LeaseFigures]) -> DatabaseFigures:
    """`now` is in Unix seconds."""
    claims = load_claims(session)
    tallies = list(
        session.execute(select(TallyRow.name, TallyRow.stage, TallyRow.outcome, TallyRow.reason, TallyRow.value))
    )
    webhooks = list(session.execute(select(WebhookRow.id, WebhookRow.queued_event_id)))
    return DatabaseFigures(
        runs=count_runs(session),
        unfinished_stages=count_unfinished_stages(session),
        open_attempts=count_open_attempts(session),
        ended_attempts={(row.stage, row.outcome, row.reason): row.value for row in tallies if row.name == "attempts"},
        images={row.stage: row.value for row in tallies if row.name == "images"},
        queued_stages=len(claims),
        oldest_wait_seconds=max((now - claim.ready_at for claim in claims), default=0.0),
        device_seconds=_device_seconds(session, now),
        lease=lease(session),
        deliveries=_deliveries(session, [webhook.id for webhook in webhooks]),
        unqueued_events=_unqueued_events(session, [webhook.queued_event_id for webhook in webhooks]),
    )


def read_lease(session: Session, lease_clock: Callable[[Session], float], granted_seconds: float) -> LeaseFigures:
    """`lease_clock` is the database's own, and `granted_seconds` for how long a renewal lasts."""
    row = session.execute(select(LeaseRow.fencing_token, LeaseRow.expires_at)).one()
    age = lease_clock(session) - (row.expires_at - granted_seconds) if row.expires_at else float("inf")
    return LeaseFigures(claims=row.fencing_token, age_seconds=max(0.0, age))


def count_runs(session: Session) -> dict[str, int]:
    """By state, from the index alone."""
    rows = session.execute(select(RunRow.state, func.count()).group_by(RunRow.state))
    return {row[0]: row[1] for row in rows}


def count_unfinished_stages(session: Session) -> dict[tuple[str, str], int]:
    """By stage and state, from an index that has none of those that have succeeded."""
    statement = (
        select(StageRow.name, StageRow.state, func.count())
        .where(one_of(StageRow.state, NOT_SUCCEEDED_STAGES))
        .group_by(StageRow.name, StageRow.state)
    )
    return {(stage, state): count for stage, state, count in session.execute(statement)}


def count_open_attempts(session: Session) -> dict[str, int]:
    """By state."""
    open_ones = one_of(AttemptRow.state, OPEN_ATTEMPTS)
    statement = select(AttemptRow.state, func.count()).where(open_ones).group_by(AttemptRow.state)
    return {row[0]: row[1] for row in session.execute(statement)}


def _device_seconds(session: Session, now: float) -> dict[str, float]:
    budgets = budgets_of(session, session.scalars(select(ProjectRow)), now)
    return {name: budget.spent_device_hours * SECONDS_AN_HOUR for name, budget in budgets.items()}


def _deliveries(session: Session, webhook_ids: list[str]) -> dict[str, int]:
    counts = dict.fromkeys((DeliveryState.PENDING.value, DeliveryState.DEAD.value), 0)
    for (_, state), count in delivery_counts(session, webhook_ids).items():
        counts[state] += count
    return counts


def _unqueued_events(session: Session, queued_event_ids: list[int]) -> int:
    if not queued_event_ids:
        return 0
    newest: int = session.execute(select(func.coalesce(func.max(EventRow.id), 0))).scalar_one()
    return newest - min(queued_event_ids)


def succeeded_stages(figures: DatabaseFigures) -> dict[str, int]:
    """By stage: each has exactly one attempt that has succeeded."""
    counts: dict[str, int] = {}
    for (stage, outcome, _), count in figures.ended_attempts.items():
        if outcome == AttemptState.SUCCEEDED:
            counts[stage] = counts.get(stage, 0) + count
    return counts
