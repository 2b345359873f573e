"""/datasets: register and inspect image datasets."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.dependencies import (
    Cursor,
    DatasetCommandsOf,
    DatasetId,
    DatasetQueriesOf,
    IdempotencyKey,
    Limit,
    RegistrationSettingsOf,
)
from api.examples.answers import DATASET, DATASET_VERSION, LOOK, answers, page_of
from api.examples.requests import DATASET_REQUESTS, DATASET_VERSION_REQUESTS, LOOK_REQUESTS
from api.list_filter import PlainFilter
from api.registration_line import in_registration_thread
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.datasets import DatasetRequest, DatasetVersionRequest, LookRequest
from service.views.base import Page
from service.views.datasets import DatasetView
from service.views.looks import DatasetLook

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.post(
    "",
    status_code=201,
    summary="Register a dataset",
    responses=answers(201, DATASET, "Registered") | problem_responses(400, 409, 415, 422),
)
async def register_dataset(
    request: Annotated[DatasetRequest, strict_json(DatasetRequest), Body(openapi_examples=DATASET_REQUESTS)],
    response: Response,
    commands: DatasetCommandsOf,
    registration: RegistrationSettingsOf,
    idempotency_key: IdempotencyKey = None,
) -> DatasetView:
    """Reads a sample, counts the rows and freezes the list of shards. An unusable dataset is rejected; the error names
    the file and the field. Nothing is copied."""
    dataset = await in_registration_thread(registration.processes, commands.register, request, idempotency_key)
    response.headers["Location"] = f"/datasets/{dataset.id}"
    return dataset


@router.post(
    "/look",
    summary="Look at a place",
    responses=answers(200, LOOK, "What it is taken for") | problem_responses(400, 409, 415, 422),
)
async def look_at_place(
    request: Annotated[LookRequest, strict_json(LookRequest), Body(openapi_examples=LOOK_REQUESTS)],
    commands: DatasetCommandsOf,
    registration: RegistrationSettingsOf,
) -> DatasetLook:
    """Says what a folder or file is taken for: format, splits, classes and columns, with the request bodies that would
    register each part. Reads only a few files, and records nothing."""
    return await in_registration_thread(registration.processes, commands.look, request)


@router.get("", summary="List datasets", responses=answers(200, page_of(DATASET), "One page") | problem_responses(422))
def list_datasets(
    queries: DatasetQueriesOf, wanted: PlainFilter, limit: Limit = 50, cursor: Cursor = None
) -> Page[DatasetView]:
    """Lists registered datasets, newest first."""
    return queries.list(limit, cursor, wanted)


@router.get(
    "/{dataset_id}",
    summary="Show a dataset",
    responses=answers(200, DATASET, "The dataset") | problem_responses(404, 422),
)
def get_dataset(dataset_id: DatasetId, queries: DatasetQueriesOf) -> DatasetView:
    """Returns a registered dataset: classes, rows, shards and the findings of the sample."""
    return queries.get(dataset_id)


@router.post(
    "/{dataset_id}/versions",
    status_code=201,
    summary="Add files to a dataset",
    responses=answers(201, DATASET_VERSION, "Registered") | problem_responses(400, 404, 409, 415, 422),
)
async def add_version(
    dataset_id: DatasetId,
    request: Annotated[
        DatasetVersionRequest, strict_json(DatasetVersionRequest), Body(openapi_examples=DATASET_VERSION_REQUESTS)
    ],
    response: Response,
    commands: DatasetCommandsOf,
    registration: RegistrationSettingsOf,
    idempotency_key: IdempotencyKey = None,
) -> DatasetView:
    """Registers a new version: the shards of the dataset, followed by those of the files that are new. Only these are
    inspected and counted. The dataset itself stays as it is, and so do the runs that read it. Files that have changed
    or vanished are rejected with their names; a dataset that has a newer version already is a conflict."""
    dataset = await in_registration_thread(
        registration.processes, commands.add_version, dataset_id, request, idempotency_key
    )
    response.headers["Location"] = f"/datasets/{dataset.id}"
    return dataset


@router.get(
    "/{dataset_id}/versions",
    summary="List a dataset's versions",
    responses=answers(200, page_of(DATASET_VERSION), "One page") | problem_responses(404, 422),
)
def list_versions(
    dataset_id: DatasetId, queries: DatasetQueriesOf, limit: Limit = 50, cursor: Cursor = None
) -> Page[DatasetView]:
    """Lists all versions of the dataset, whichever of them the id names, newest first."""
    return queries.versions(dataset_id, limit, cursor)
