"""/retention: preview retention, and run it now."""

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
    summary="Preview retention",
    responses=answers(200, page_of(PREVIEWED_ARTIFACT), "One page") | problem_responses(404, 422),
)
def get_plan(
    retention: Retention, run_id: OfRun = None, limit: Limit = 10, cursor: Cursor = None
) -> Page[PreviewedArtifact]:
    """Dry run: says for each artifact whether it would be deleted or kept, and why. A page covers `limit` runs, newest
    first, each with a dozen artifacts or more."""
    return retention.plan(limit, cursor, run_id)


@router.post(
    "/apply",
    status_code=202,
    summary="Run retention now",
    responses=answers(202, MARKED, "Marked") | problem_responses(404, 422),
)
def apply(retention: Retention, run_id: OfRun = None) -> Marked:
    """Marks the artifacts that the plan lists for deletion; the reconciler's process deletes them. It also does so
    periodically by itself."""
    return retention.apply(run_id)
