"""Which stages may start, and where the others stand in line and why. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workers.specs.stages import StageName

PRIORITY_STEP_SECONDS = 3600.0
"""A stage lines up as if it had been ready so much earlier for each step of its run's priority: a higher priority goes
first among stages that became ready together, and no stage is overtaken for ever by newer ones of a higher priority."""


@dataclass(frozen=True)
class Claim:
    """The current stage of a running run, which is ready and has no attempt on the cluster."""

    run_id: str
    run_name: str
    project: str
    priority: int
    generation: int
    stage: StageName
    ready_at: float
    """Unix seconds: when the stage before it had ended."""

    @property
    def order(self) -> tuple[float, str]:
        """The same at all times, so that nobody's place changes by waiting."""
        return self.ready_at - self.priority * PRIORITY_STEP_SECONDS, self.run_id


@dataclass(frozen=True)
class Budget:
    """What a project may spend and has spent, attempts under way included."""

    quota_device_hours: float | None
    spent_device_hours: float

    @property
    def exhausted(self) -> bool:
        return self.quota_device_hours is not None and self.spent_device_hours >= self.quota_device_hours


@dataclass(frozen=True)
class QueuePosition:
    """A stage that has to wait. Positions count from 1."""

    claim: Claim
    position: int
    reason: str


def places_in_line(
    claims: Iterable[Claim], running: int, max_concurrent_stages: int | None, budgets: Mapping[str, Budget]
) -> list[QueuePosition]:
    """The stages that have to wait, in their order; those of `claims` that are not here may start.

    The `running` stages always go on. A stage that waits for its project's quota holds up nobody else.
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
