"""/searches: use Ray Tune to choose the noise and the student's size."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.dependencies import Cursor, IdempotencyKey, Limit, SearchId, StudyCommandsOf, StudyQueriesOf
from api.examples.answers import answers, page_of
from api.examples.studies import SEARCH, SEARCH_REQUESTS, STUDY_SUMMARY
from api.list_filter import Filter
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.studies import SearchRequest
from service.views.base import Page
from service.views.studies import SearchView, StudySummary

router = APIRouter(prefix="/searches", tags=["searches"])


@router.post(
    "",
    status_code=201,
    summary="Start a search",
    responses=answers(201, SEARCH, "Started") | problem_responses(400, 404, 409, 415, 422),
)
def create_search(
    request: Annotated[SearchRequest, strict_json(SearchRequest), Body(openapi_examples=SEARCH_REQUESTS)],
    response: Response,
    commands: StudyCommandsOf,
    idempotency_key: IdempotencyKey = None,
) -> SearchView:
    """Tries points of the search space within a budget, with the datasets and pseudo labels of a run's generation. The
    first trial is the generation's own recipe. The run itself does not change."""
    search = commands.create_search(request, idempotency_key)
    response.headers["Location"] = f"/searches/{search.id}"
    return search


@router.get(
    "", summary="List searches", responses=answers(200, page_of(STUDY_SUMMARY), "One page") | problem_responses(422)
)
def list_searches(
    queries: StudyQueriesOf, wanted: Filter, limit: Limit = 50, cursor: Cursor = None
) -> Page[StudySummary]:
    """Lists all searches started alongside a run, newest first."""
    return queries.list_searches(limit, cursor, wanted)


@router.get(
    "/{search_id}",
    summary="Show a search",
    responses=answers(200, SEARCH, "The search") | problem_responses(404, 422),
)
def get_search(search_id: SearchId, queries: StudyQueriesOf) -> SearchView:
    """Returns a search: every trial with its parameters, curve, state and cost, and the winner once it is known. Its id
    is a run's id: /runs/{id} shows its stage, events and logs, and cancels or retries it."""
    return queries.get_search(search_id)
