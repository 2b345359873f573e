"""/plans: the bill of a run before it starts."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.dependencies import Cursor, EstimateCommandsOf, EstimateQueriesOf, IdempotencyKey, Limit, PlanId
from api.examples.answers import answers, page_of
from api.examples.plans import PLAN, PLAN_REQUESTS, PLAN_SUMMARY
from api.list_filter import Filter
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.run import EstimateRequest
from service.views.base import Page
from service.views.estimates import EstimateSummary, EstimateView

router = APIRouter(prefix="/plans", tags=["plans"])


@router.post(
    "",
    status_code=201,
    summary="Plan a run",
    responses=answers(201, PLAN, "Started") | problem_responses(400, 409, 415, 422),
)
def create_plan(
    request: Annotated[EstimateRequest, strict_json(EstimateRequest), Body(openapi_examples=PLAN_REQUESTS)],
    response: Response,
    commands: EstimateCommandsOf,
    idempotency_key: IdempotencyKey = None,
) -> EstimateView:
    """Measures the run's stages on a sample of its images, in one Ray job of a minute or two, and computes the bill:
    speed, device hours, wall time, bytes and cost per stage and generation. Checks the run as POST /runs does, but
    does not start it."""
    plan = commands.create_plan(request, idempotency_key)
    response.headers["Location"] = f"/plans/{plan.id}"
    return plan


@router.get(
    "", summary="List plans", responses=answers(200, page_of(PLAN_SUMMARY), "One page") | problem_responses(422)
)
def list_plans(
    queries: EstimateQueriesOf, wanted: Filter, limit: Limit = 50, cursor: Cursor = None
) -> Page[EstimateSummary]:
    """Lists all plans, newest first."""
    return queries.list_plans(limit, cursor, wanted)


@router.get("/{plan_id}", summary="Show a plan", responses=answers(200, PLAN, "The plan") | problem_responses(404, 422))
def get_plan(plan_id: PlanId, queries: EstimateQueriesOf) -> EstimateView:
    """Returns a plan, with its bill once everything is measured. Its id is a run's id: /runs/{id} shows its stage,
    events and logs, and cancels or retries it."""
    return queries.get_plan(plan_id)
