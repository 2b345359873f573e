"""/runs/{id}/ablations and /ablations: how much each part of the method contributes."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.dependencies import AblationId, Cursor, IdempotencyKey, Limit, RunId, StudyCommandsOf, StudyQueriesOf
from api.examples.answers import answers, page_of
from api.examples.studies import ABLATION, ABLATION_REQUESTS, STUDY_SUMMARY
from api.list_filter import Filter
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.studies import AblationRequest
from service.views.base import Page
from service.views.studies import AblationView, StudySummary

router = APIRouter(tags=["ablations"])


@router.post(
    "/runs/{run_id}/ablations",
    status_code=201,
    summary="Start an ablation",
    responses=answers(201, ABLATION, "Started") | problem_responses(400, 404, 409, 415, 422),
)
def create_ablation(
    run_id: RunId,
    request: Annotated[AblationRequest, strict_json(AblationRequest), Body(openapi_examples=ABLATION_REQUESTS)],
    response: Response,
    commands: StudyCommandsOf,
    idempotency_key: IdempotencyKey = None,
) -> AblationView:
    """Retrains a generation's student from the same teacher and pseudo labels, over several seeds, each time without
    one part of the method: one kind of noise, balancing, the filter and so on."""
    ablation = commands.create_ablation(run_id, request, idempotency_key)
    response.headers["Location"] = f"/ablations/{ablation.id}"
    return ablation


@router.get(
    "/runs/{run_id}/ablations",
    summary="List a run's ablations",
    responses=answers(200, page_of(STUDY_SUMMARY), "One page") | problem_responses(404, 422),
)
def list_ablations(
    run_id: RunId, queries: StudyQueriesOf, wanted: Filter, limit: Limit = 50, cursor: Cursor = None
) -> Page[StudySummary]:
    """Lists the ablations of one run, newest first."""
    return queries.list_ablations(run_id, limit, cursor, wanted)


@router.get(
    "/ablations/{ablation_id}",
    summary="Show an ablation",
    responses=answers(200, ABLATION, "The ablation") | problem_responses(404, 422),
)
def get_ablation(ablation_id: AblationId, queries: StudyQueriesOf) -> AblationView:
    """Returns an ablation's current trainings, and its table once it has succeeded."""
    return queries.get_ablation(ablation_id)
