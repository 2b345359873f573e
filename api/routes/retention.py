"""/retention: what would be collected, and have it collected now."""

from fastapi import APIRouter

from api.dependencies import Cursor, Limit, OfRun, Retention
from api.examples.answers import answers, page_of
from api.examples.lifecycle import MARKED, PREVIEWED_ARTIFACT
from api.schemas.problem import problem_responses
from service.views.base import Page
from service.views.retention import Marked, PreviewedArtifact

router = APIRouter(prefix="/retention", tags=["retention"])


@router.get(
    "/plan",
    summary="Show what retention would do",
    responses=answers(200, page_of(PREVIEWED_ARTIFACT), "One page") | problem_responses(404, 422),
)
def get_plan(
    retention: Retention, run_id: OfRun = None, limit: Limit = 10, cursor: Cursor = None
) -> Page[PreviewedArtifact]:
    """A dry run: for each artifact, whether it goes or stays, and why. A page is of `limit` runs, newest first, with a
    dozen artifacts or more each."""
    return retention.plan(limit, cursor, run_id)


@router.post(
    "/apply",
    status_code=202,
    summary="Collect now what may go",
    responses=answers(202, MARKED, "Marked") | problem_responses(404, 422),
)
def apply(retention: Retention, run_id: OfRun = None) -> Marked:
    """Marks what the plan says goes; the reconciler's process deletes it. It does so by itself from time to time."""
    return retention.apply(run_id)
