"""The queue as it is now, read from the store: for the reconciler, which obeys it, and for those who look at it."""

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
"""What a time may lose on its way through a view, and more."""


@dataclass(frozen=True)
class Queue:
    """The stages that are ready, by run; how many are on the cluster, by project; and what limits them."""

    claims: Mapping[str, Claim]
    running: Mapping[str, int]
    max_concurrent_stages: int | None
    budgets: Mapping[str, Budget]

    @cached_property
    def places(self) -> Mapping[str, QueuePosition]:
        """The stages that have to wait, by run, in their order."""
        running = sum(self.running.values())
        places = places_in_line(self.claims.values(), running, self.max_concurrent_stages, self.budgets)
        return {place.claim.run_id: place for place in places}

    def with_claim(self, claim: Claim) -> "Queue":
        """The same with this claim in place of the one that its run had."""
        known = self.claims.get(claim.run_id)
        if known is not None and abs(known.ready_at - claim.ready_at) < _SAME_TIME_SECONDS:
            claim = replace(claim, ready_at=known.ready_at)
        if claim == known:
            return self
        return replace(self, claims={**self.claims, claim.run_id: claim})


def read_queue(session: Session, max_concurrent_stages: int | None, now: float) -> Queue | None:
    """None where nothing limits anybody, which costs one small query to find out."""
    with only_projects(None):  # a place in the line counts everybody's stages
        budgets = budgets_with_quota(session, now)
        if max_concurrent_stages is None and not any(budget.exhausted for budget in budgets.values()):
            return None
        claims = {claim.run_id: claim for claim in load_claims(session)}
        return Queue(claims, count_running(session), max_concurrent_stages, budgets)


def load_claims(session: Session) -> list[Claim]:
    """The stages of running runs that could be on the cluster and are not, in no order."""
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
            # Of the stages that have not succeeded only a run's current one is ready.
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
    """How many stages have an attempt on the cluster, or one that is on its way there or back, by project."""
    # A look-up for each open attempt: as a join, all runs of the projects would be read.
    project = select(RunRow.project).where(RunRow.id == AttemptRow.run_id).scalar_subquery().label("project")
    counts = select(project, func.count()).where(one_of(AttemptRow.state, OPEN_ATTEMPTS)).group_by("project")
    return {row[0]: row[1] for row in session.execute(counts)}
