"""The queue as it is now, read from the store: for the reconciler, which obeys it, and for those who look at it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.stage_queue import Claim, Place, places_in_line
from service.store.project_store import budgets_with_quota
from service.store.queue_store import load_claims
from service.store.visibility import only_projects


@dataclass(frozen=True)
class Queue:
    """The stages under way or ready, and of those the ones that have to wait, in their order."""

    claims: list[Claim]
    places: list[Place]


def read_queue(session: Session, max_concurrent_stages: int | None, now: float) -> Queue | None:
    """None where nothing limits anybody, which costs one small query to find out."""
    with only_projects(None):  # a place in the line counts everybody's stages
        budgets = budgets_with_quota(session, now)
        if max_concurrent_stages is None and not any(budget.exhausted for budget in budgets.values()):
            return None
        claims = load_claims(session)
    return Queue(claims, places_in_line(claims, max_concurrent_stages, budgets))
