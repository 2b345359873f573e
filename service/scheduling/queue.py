"""Decides which stages may start, and each other stage's place in the queue and why it waits. No I/O, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workers.specs.stages import StageName

PRIORITY_STEP_SECONDS = 3600.0
"""Each step of a run's priority moves its stages forward as if they had been ready this many seconds earlier. Of stages
that became ready together, the one with the higher priority goes first, and no stage is overtaken forever by newer ones
with a higher priority."""


@dataclass(frozen=True)
class Claim:
    """The current stage of a running run: ready, and without an attempt on the cluster."""

    run_id: str
    run_name: str
    project: str
    priority: int
    generation: int
    stage: StageName
    ready_at: float
    """When the previous stage ended, in Unix seconds."""

    @property
    def order(self) -> tuple[float, str]:
        """The sort key in the queue. It does not depend on the time, so waiting changes nobody's place."""
        return self.ready_at - self.priority * PRIORITY_STEP_SECONDS, self.run_id


@dataclass(frozen=True)
class Budget:
    """What a project may spend and has spent, in device hours, including its open attempts."""

    quota_device_hours: float | None
    spent_device_hours: float

    @property
    def exhausted(self) -> bool:
        return self.quota_device_hours is not None and self.spent_device_hours >= self.quota_device_hours


@dataclass(frozen=True)
class QueuePosition:
    """A stage that has to wait, with its position from 1 and the reason."""

    claim: Claim
    position: int
    reason: str


def places_in_line(
    claims: Iterable[Claim], running: int, max_concurrent_stages: int | None, budgets: Mapping[str, Budget]
) -> list[QueuePosition]:
    """Returns the stages that have to wait, in the queue's order. All other stages of `claims` may start.

    The `running` stages always continue. A stage that waits for its project's quota blocks no other stage.
    """
    free = None if max_concurrent_stages is None else max_concurrent_stages - running
    places: list[QueuePosition] = []
    for claim in sorted(claims, key=lambda claim: claim.order):
        reason = _quota_reason(claim.project, budgets)
        if reason is None and free is not None:
            if free <= 0:
                reason = f"limit of {max_concurrent_stages} concurrent stages"
            else:
                free -= 1
        if reason is not None:
            places.append(QueuePosition(claim, len(places) + 1, reason))
    return places


def _quota_reason(project: str, budgets: Mapping[str, Budget]) -> str | None:
    budget = budgets.get(project)
    if budget is None or not budget.exhausted:
        return None
    return (
        f"project {project} has spent {budget.spent_device_hours:.2f} of its quota of "
        f"{budget.quota_device_hours:g} device hours"
    )
