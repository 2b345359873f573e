"""/runs/{id}/stages and the stages of a generation: attempts, metrics and logs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from api.dependencies import AttemptNumber, Cursor, GenerationNumber, Limit, Queries, RunId, StudyQueriesOf
from api.examples.answers import ATTEMPT, CONFUSION, LOG_TAIL, METRICS, STAGE, answers, page_of
from api.examples.studies import PICTURE, TRIALS
from api.schemas.problem import problem_responses
from service.config.stage_key import StageKey
from service.views.base import Page
from service.views.runs import AttemptView, LogTail, StageConfusion, StageMetrics, StageView
from service.views.studies import StageTrials
from workers.specs.stages import StageName

router = APIRouter(prefix="/runs/{run_id}", tags=["stages"])
_STAGE = "/generations/{generation}/stages/{stage}"
PictureName = Annotated[
    str,
    Path(
        pattern=r"^[a-z_]+\.svg$", max_length=100, description="The picture's file name.", examples=["reliability.svg"]
    ),
]


def _stage_key(
    run_id: RunId,
    generation: GenerationNumber,
    stage: Annotated[StageName, Path(description="The stage's name.", examples=["train"])],
) -> StageKey:
    return StageKey(run_id, generation, stage)


Stage = Annotated[StageKey, Depends(_stage_key)]


@router.get(
    "/stages",
    summary="List a run's stages",
    responses=answers(200, page_of(STAGE), "One page") | problem_responses(404, 422),
)
def list_stages(run_id: RunId, queries: Queries, limit: Limit = 50, cursor: Cursor = None) -> Page[StageView]:
    """Lists the stages of all generations, newest first."""
    return queries.list_stages(run_id, limit, cursor)


@router.get(_STAGE, summary="Show a stage", responses=answers(200, STAGE, "The stage") | problem_responses(404, 422))
def get_stage(stage: Stage, queries: Queries) -> StageView:
    """Returns a stage: state, attempts, progress and, once it has succeeded, its result and a breakdown of its time."""
    return queries.get_stage(stage)


@router.get(
    f"{_STAGE}/attempts",
    summary="List a stage's attempts",
    responses=answers(200, page_of(ATTEMPT), "One page") | problem_responses(404, 422),
)
def list_attempts(
    stage: Stage,
    queries: Queries,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AttemptView]:
    """Lists the attempts, newest first. Each is one Ray job, with its id, its page in Ray's dashboard, and the reason
    for a failure."""
    return queries.list_attempts(stage, limit, cursor)


@router.get(
    f"{_STAGE}/attempts/{{attempt}}",
    summary="Show an attempt",
    responses=answers(200, ATTEMPT, "The attempt") | problem_responses(404, 422),
)
def get_attempt(stage: Stage, attempt: AttemptNumber, queries: Queries) -> AttemptView:
    """Returns one attempt of a stage."""
    return queries.get_attempt(stage, attempt)


@router.get(
    f"{_STAGE}/metrics",
    summary="Read a stage's metrics",
    responses=answers(200, METRICS, "All rows") | problem_responses(404, 422),
)
def get_metrics(stage: Stage, queries: Queries) -> StageMetrics:
    """Returns what all attempts of the stage logged, by attempt and step: loss, accuracy, images per second."""
    return StageMetrics(rows=queries.stage_metrics(stage))


@router.get(
    f"{_STAGE}/confusion",
    summary="Read a stage's confusion matrices",
    responses=answers(200, CONFUSION, "All of them") | problem_responses(404, 422),
)
def get_confusion(stage: Stage, queries: Queries) -> StageConfusion:
    """Returns the confusion matrices of an evaluate stage: on the test set, pseudo labels and external sets."""
    return queries.stage_confusion(stage)


@router.get(
    "/generations/{generation}/stages/search/trials",
    summary="List a search stage's trials",
    responses=answers(200, TRIALS, "All trials") | problem_responses(404, 422),
)
def get_trials(run_id: RunId, generation: GenerationNumber, queries: StudyQueriesOf) -> StageTrials:
    """Lists the current trials of the generation's search: parameters, curve, state and cost."""
    return StageTrials(trials=list(queries.stage_trials(run_id, generation)))


@router.get(
    f"{_STAGE}/pictures/{{name}}",
    summary="Show a stage's picture",
    response_class=Response,
    responses=PICTURE | problem_responses(404, 422),
)
def get_picture(stage: Stage, name: PictureName, queries: StudyQueriesOf) -> Response:
    """Returns an SVG document: a search's heat map over RandAugment's n and m, its accuracy by cost, or the reliability
    diagram of fitted labels."""
    # The document may be opened by itself: nothing in it is to be run.
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return Response(queries.picture(stage, name), media_type="image/svg+xml", headers=headers)


@router.get(
    f"{_STAGE}/logs",
    summary="Read the end of a stage's log",
    responses=answers(200, LOG_TAIL, "The last lines") | problem_responses(404, 422, 503),
)
def get_logs(
    stage: Stage,
    queries: Queries,
    attempt: Annotated[int | None, Query(ge=1, le=1_000_000, description="The latest attempt by default.")] = None,
    lines: Annotated[int, Query(ge=1, le=5000, description="Number of lines from the end.")] = 200,
) -> LogTail:
    """Returns the last lines that the attempt's Ray job printed: from Ray while the job exists, from the artifact root
    after it has ended. If there are none, `note` says why."""
    return queries.log_tail(stage, attempt, lines)
