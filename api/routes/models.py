"""/models: the models that runs produced, and those that were trained elsewhere."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi.responses import StreamingResponse

from api.dependencies import (
    Archives,
    Cursor,
    IdempotencyKey,
    Limit,
    ModelId,
    OfRun,
    Queries,
    RegistrationCommandsOf,
)
from api.examples.answers import ARCHIVE, MODEL, answers, page_of
from api.examples.registrations import REGISTRATION, REGISTRATION_REQUESTS
from api.list_filter import PlainFilter
from api.schemas.json_body import strict_json
from api.schemas.problem import problem_responses
from service.config.models import RegistrationRequest
from service.views.base import Page
from service.views.lineage import RegistrationView
from service.views.runs import ModelView

router = APIRouter(prefix="/models", tags=["models"])


@router.post(
    "",
    status_code=201,
    summary="Register a model",
    responses=answers(201, REGISTRATION, "Started") | problem_responses(400, 409, 415, 422),
)
def register_model(
    request: Annotated[
        RegistrationRequest, strict_json(RegistrationRequest), Body(openapi_examples=REGISTRATION_REQUESTS)
    ],
    response: Response,
    commands: RegistrationCommandsOf,
    idempotency_key: IdempotencyKey = None,
) -> RegistrationView:
    """Registers a timm model that was trained elsewhere. One Ray job loads its weights, has it label a few images, and
    copies it; it is among the models once that has succeeded."""
    registration = commands.register(request, idempotency_key)
    response.headers["Location"] = f"/registrations/{registration.id}"
    return registration


@router.get("", summary="List models", responses=answers(200, page_of(MODEL), "One page") | problem_responses(404, 422))
def list_models(
    queries: Queries, wanted: PlainFilter, run_id: OfRun = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ModelView]:
    """Lists trained models with their accuracies, newest first."""
    return queries.list_models(limit, cursor, run_id, wanted)


@router.get(
    "/{model_id}", summary="Show a model", responses=answers(200, MODEL, "The model") | problem_responses(404, 422)
)
def get_model(model_id: ModelId, queries: Queries) -> ModelView:
    """Returns a trained model: the location of its weights, and its accuracy on the validation and test sets."""
    return queries.get_model(model_id)


@router.get(
    "/{model_id}/download",
    summary="Download a model",
    response_class=Response,
    responses=ARCHIVE | problem_responses(404, 409, 422),
)
def download_model(model_id: ModelId, archives: Archives) -> StreamingResponse:
    """Returns a zip of the model's folder: weights, timm's configuration, and the model card (README.md) with all that
    is known now. It is written while it is sent; Content-Length is its size."""
    archive = archives.archive(model_id)
    headers = {
        "Content-Length": str(archive.size),
        "Content-Disposition": f'attachment; filename="{archive.name}"',
    }
    return StreamingResponse(archive.blocks, media_type="application/zip", headers=headers)
