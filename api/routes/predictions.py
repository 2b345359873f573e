"""/predictions: what a trained model says about a dataset."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import StreamingResponse

from api.dependencies import (
    Cursor,
    IdempotencyKey,
    Limit,
    PredictionCommandsOf,
    PredictionDownloadsOf,
    PredictionId,
    PredictionQueriesOf,
)
from api.examples.answers import answers, page_of
from api.examples.predictions import PREDICTION, PREDICTION_REQUESTS, PREDICTION_SUMMARY
from api.list_filter import Filter
from api.schemas.json_body import strict_json
from api.schemas.problem import Answers, problem_responses
from service.config.predictions import PredictionRequest
from service.predictions.downloads import DownloadFormat
from service.views.base import Page
from service.views.studies import PredictionSummary, PredictionView

router = APIRouter(prefix="/predictions", tags=["predictions"])
_BINARY = {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of the file"}
_FILE: Answers = {
    200: {
        "description": "The file",
        "content": dict.fromkeys(("application/zip", "application/vnd.apache.parquet", "text/csv"), _BINARY),
    }
}


@router.post(
    "",
    status_code=201,
    summary="Predict a dataset",
    responses=answers(201, PREDICTION, "Started") | problem_responses(400, 409, 415, 422),
)
def create_prediction(
    request: Annotated[PredictionRequest, strict_json(PredictionRequest), Body(openapi_examples=PREDICTION_REQUESTS)],
    response: Response,
    commands: PredictionCommandsOf,
    idempotency_key: IdempotencyKey = None,
) -> PredictionView:
    """Has a trained model answer about every image of a dataset, in one Ray job with the label stage's code."""
    prediction = commands.create(request, idempotency_key)
    response.headers["Location"] = f"/predictions/{prediction.id}"
    return prediction


@router.get(
    "",
    summary="List predictions",
    responses=answers(200, page_of(PREDICTION_SUMMARY), "One page") | problem_responses(422),
)
def list_predictions(
    queries: PredictionQueriesOf, wanted: Filter, limit: Limit = 50, cursor: Cursor = None
) -> Page[PredictionSummary]:
    """Lists all predictions, newest first."""
    return queries.list(limit, cursor, wanted)


@router.get(
    "/{prediction_id}",
    summary="Show a prediction",
    responses=answers(200, PREDICTION, "The prediction") | problem_responses(404, 422),
)
def get_prediction(prediction_id: PredictionId, queries: PredictionQueriesOf) -> PredictionView:
    """Returns a prediction with its progress, and its outcome once it has succeeded. Its id is a run's id: /runs/{id}
    shows its stage, events and logs, and pauses, cancels or retries it."""
    return queries.get(prediction_id)


@router.get(
    "/{prediction_id}/download",
    summary="Download predictions",
    response_class=Response,
    responses=_FILE | problem_responses(404, 409, 422),
)
def download_prediction(
    prediction_id: PredictionId,
    downloads: PredictionDownloadsOf,
    kind: Annotated[
        DownloadFormat,
        Query(alias="format", description="zip: the Parquet files as they are. parquet, csv: one table."),
    ] = "zip",
) -> StreamingResponse:
    """Returns one row for each image: its key, the label by index and name, its confidence, and the most probable
    classes. A broken image is a row without a label, with the reason. The file is written while it is sent."""
    download = downloads.download(prediction_id, kind)
    headers = {"Content-Disposition": f'attachment; filename="{download.name}"'}
    if download.size is not None:
        headers["Content-Length"] = str(download.size)
    return StreamingResponse(download.blocks, media_type=download.media_type, headers=headers)
