"""/runs: start, watch, stop and restart runs."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.dependencies import Commands, Cursor, IdempotencyKey, Limit, Queries, RunId
from api.examples.answers import EVENT, RUN, RUN_SUMMARY, answers, page_of
from api.examples.queue import RUN_CHANGES
from api.examples.requests import RUN_CONFIGS
from api.list_filter import Filter
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.run import RunChanges, RunConfig
from service.views.base import Page
from service.views.runs import EventView, RunSummary, RunView

router = APIRouter(prefix="/runs", tags=["runs"])


@router.post(
    "",
    status_code=201,
    summary="Start a run",
    responses=answers(201, RUN, "Started") | problem_responses(400, 409, 415, 422),
)
def create_run(
    config: Annotated[RunConfig, strict_json(RunConfig), Body(openapi_examples=RUN_CONFIGS)],
    response: Response,
    commands: Commands,
    idempotency_key: IdempotencyKey = None,
) -> RunView:
    """Starts generation 0, which trains the first teacher, and the student generations after it. A request that cannot
    work is rejected at once with the name of the field."""
    run = commands.create_run(config, idempotency_key)
    response.headers["Location"] = f"/runs/{run.id}"
    return run


@router.get("", summary="List runs", responses=answers(200, page_of(RUN_SUMMARY), "One page") | problem_responses(422))
def list_runs(queries: Queries, wanted: Filter, limit: Limit = 50, cursor: Cursor = None) -> Page[RunSummary]:
    """Lists all runs, newest first; only those in certain states, of a project or since a time, if the query says
    so."""
    return queries.list_runs(limit, cursor, wanted)


@router.get("/{run_id}", summary="Show a run", responses=answers(200, RUN, "The run") | problem_responses(404, 422))
def get_run(run_id: RunId, queries: Queries) -> RunView:
    """Returns a run with its generations, stages, attempts, progress and models."""
    return queries.get_run(run_id)


@router.patch(
    "/{run_id}",
    summary="Change a run's priority",
    responses=answers(200, RUN, "As it is now") | problem_responses(400, 404, 409, 415, 422),
)
def change_run(
    run_id: RunId,
    changes: Annotated[RunChanges, strict_json(RunChanges), Body(openapi_examples=RUN_CHANGES)],
    commands: Commands,
) -> RunView:
    """Moves the run's stages in the queue. A running stage is not affected; a finished run is a conflict."""
    return commands.change_run(run_id, changes)


@router.post(
    "/{run_id}/pause",
    status_code=202,
    summary="Pause a run",
    responses=answers(202, RUN, "Asked to pause") | problem_responses(404, 409, 422),
)
def pause_run(run_id: RunId, response: Response, commands: Commands, idempotency_key: IdempotencyKey = None) -> RunView:
    """Lets the stage in flight end at its next unit (a shard, a checkpoint, a trial) and keeps finished work. The state
    goes from pausing to paused. A stage that waits for resources stops at once. Repeating the call is no error."""
    response.headers["Location"] = f"/runs/{run_id}"
    return commands.pause_run(run_id, idempotency_key)


@router.post(
    "/{run_id}/resume",
    status_code=202,
    summary="Resume a paused run",
    responses=answers(202, RUN, "Under way again") | problem_responses(404, 409, 422),
)
def resume_run(
    run_id: RunId, response: Response, commands: Commands, idempotency_key: IdempotencyKey = None
) -> RunView:
    """Continues where the run was paused; a pause does not count as a failure. Repeating the call is no error."""
    response.headers["Location"] = f"/runs/{run_id}"
    return commands.resume_run(run_id, idempotency_key)


@router.post(
    "/{run_id}/cancel",
    status_code=202,
    summary="Cancel a run",
    responses=answers(202, RUN, "Asked to stop") | problem_responses(404, 409, 422),
)
def cancel_run(
    run_id: RunId, response: Response, commands: Commands, idempotency_key: IdempotencyKey = None
) -> RunView:
    """Stops the run and its Ray job; the state goes from cancelling to cancelled. Repeating the call is no error."""
    response.headers["Location"] = f"/runs/{run_id}"
    return commands.cancel_run(run_id, idempotency_key)


@router.post(
    "/{run_id}/retry",
    status_code=202,
    summary="Retry a failed or cancelled run",
    responses=answers(202, RUN, "Under way again") | problem_responses(404, 409, 422),
)
def retry_run(run_id: RunId, response: Response, commands: Commands, idempotency_key: IdempotencyKey = None) -> RunView:
    """Continues from the failed stage with everything it has already written. An active run is a conflict, unless the
    request repeats an idempotency key."""
    response.headers["Location"] = f"/runs/{run_id}"
    return commands.retry_run(run_id, idempotency_key)


@router.get(
    "/{run_id}/events",
    summary="List a run's events",
    responses=answers(200, page_of(EVENT), "One page") | problem_responses(404, 422),
)
def list_events(run_id: RunId, queries: Queries, limit: Limit = 50, cursor: Cursor = None) -> Page[EventView]:
    """Lists the run's history, newest first: starts, failures with their reasons, and retries."""
    return queries.list_events(run_id, limit, cursor)
