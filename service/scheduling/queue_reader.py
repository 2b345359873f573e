"""Reads the current queue from the database, for the reconciler, which obeys it, and for the views that show it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from service.lifecycle.states import OPEN_ATTEMPTS, UNFINISHED_STAGES, RunState
from service.scheduling.queue import Budget, Claim, QueuePosition, places_in_line
from service.scheduling.quotas import budgets_with_quota
from service.stages.order import stage_name
from service.store.schema.columns import one_of
from service.store.schema.tables import AttemptRow, RunRow, StageRow
from service.store.visibility import only_projects

_SAME_TIME_SECONDS = 1e-3
"""More than a time loses when it is converted to a view and back."""


@dataclass(frozen=True)
class Queue:
    """The ready stages by run id, how many stages are on the cluster by project, and what limits them."""

    claims: Mapping[str, Claim]
    running: Mapping[str, int]
    max_concurrent_stages: int | None
    budgets: Mapping[str, Budget]

    @cached_property
    def places(self) -> Mapping[str, QueuePosition]:
        """The stages that have to wait, by run id, in the queue's order."""
        running = sum(self.running.values())
        places = places_in_line(self.claims.values(), running, self.max_concurrent_stages, self.budgets)
        return {place.claim.run_id: place for place in places}

    def with_claim(self, claim: Claim) -> "Queue":
        """Returns a copy in which this claim replaces the previous claim of its run."""
        known = self.claims.get(claim.run_id)
        if known is not None and abs(known.ready_at - claim.ready_at) < _SAME_TIME_SECONDS:
            claim = replace(claim, ready_at=known.ready_at)
        if claim == known:
            return self
        return replace(self, claims={**self.claims, claim.run_id: claim})


def read_queue(session: Session, max_concurrent_stages: int | None, now: float) -> Queue | None:
    """Returns the queue at `now`, in Unix seconds, or None if nothing limits the stages.

    One small query finds out whether anything limits them.
    """
    with only_projects(None):  # positions count the stages of all projects
        budgets = budgets_with_quota(session, now)
        if max_concurrent_stages is None and not any(budget.exhausted for budget in budgets.values()):
            return None
        claims = {claim.run_id: claim for claim in load_claims(session)}
        return Queue(claims, count_running(session), max_concurrent_stages, budgets)


def load_claims(session: Session) -> list[Claim]:
    """Returns the ready stages of running runs that have no open attempt, in no particular order."""
    has_attempt = exists().where(AttemptRow.run_id == StageRow.run_id, one_of(AttemptRow.state, OPEN_ATTEMPTS))
    rows = session.execute(
        select(
            RunRow.id,
            RunRow.name,
            RunRow.project,
            RunRow.priority,
            StageRow.generation,
            StageRow.name,
            StageRow.ready_at,
        )
        .join(RunRow, RunRow.id == StageRow.run_id)
        .where(
            # Among a run's unfinished stages only the current one is ready.
            StageRow.ready_at.is_not(None),
            one_of(StageRow.state, UNFINISHED_STAGES),
            RunRow.state == RunState.RUNNING,
            ~has_attempt,
        )
    )
    return [
        Claim(run_id, run_name, project, priority, generation, stage_name(stage), ready_at)
        for run_id, run_name, project, priority, generation, stage, ready_at in rows
        if ready_at is not None
    ]


def count_running(session: Session) -> dict[str, int]:
    """Counts the stages with an open attempt, by project: on the cluster, being submitted, or being stopped."""
    # A subquery per open attempt: a join would read all runs of the projects.
    project = select(RunRow.project).where(RunRow.id == AttemptRow.run_id).scalar_subquery().label("project")
    counts = select(project, func.count()).where(one_of(AttemptRow.state, OPEN_ATTEMPTS)).group_by("project")
    return {row[0]: row[1] for row in session.execute(counts)}
