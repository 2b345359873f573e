"""/runs/{id}/generations: the turns of the loop."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.dependencies import Commands, Cursor, GenerationNumber, IdempotencyKey, Limit, Queries, RunId
from api.examples.answers import GENERATION, RUN, answers, page_of
from api.examples.requests import GENERATION_OVERRIDES
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.run import GenerationOverrides
from service.views.base import Page
from service.views.runs import GenerationView, RunView

router = APIRouter(prefix="/runs/{run_id}/generations", tags=["generations"])


@router.post(
    "",
    status_code=201,
    summary="Add a generation",
    responses=answers(201, RUN, "Started") | problem_responses(400, 404, 409, 415, 422),
)
def add_generation(
    run_id: RunId,
    overrides: Annotated[
        GenerationOverrides, strict_json(GenerationOverrides), Body(openapi_examples=GENERATION_OVERRIDES)
    ],
    response: Response,
    commands: Commands,
    idempotency_key: IdempotencyKey = None,
) -> RunView:
    """Adds a generation to a finished run, with the last student as its teacher. The body holds settings that differ;
    `{}` repeats the previous generation's."""
    run = commands.add_generation(run_id, overrides, idempotency_key)
    response.headers["Location"] = f"/runs/{run_id}/generations/{run.generations - 1}"
    return run


@router.get(
    "",
    summary="List a run's generations",
    responses=answers(200, page_of(GENERATION), "One page") | problem_responses(404, 422),
)
def list_generations(run_id: RunId, queries: Queries, limit: Limit = 50, cursor: Cursor = None) -> Page[GenerationView]:
    """Lists generations with their plans, stages and models, newest first."""
    return queries.list_generations(run_id, limit, cursor)


@router.get(
    "/{generation}",
    summary="Show a generation",
    responses=answers(200, GENERATION, "The generation") | problem_responses(404, 422),
)
def get_generation(run_id: RunId, generation: GenerationNumber, queries: Queries) -> GenerationView:
    """Returns a generation's plan, stages and model."""
    return queries.get_generation(run_id, generation)
