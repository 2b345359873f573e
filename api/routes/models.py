"""/models: the models that runs produced."""

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from api.dependencies import Archives, Cursor, Limit, ModelId, OfRun, Queries
from api.examples.answers import ARCHIVE, MODEL, answers, page_of
from api.schemas.problem import problem_responses
from service.views.base import Page
from service.views.runs import ModelView

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="List models", responses=answers(200, page_of(MODEL), "One page") | problem_responses(404, 422))
def list_models(queries: Queries, run_id: OfRun = None, limit: Limit = 50, cursor: Cursor = None) -> Page[ModelView]:
    """Lists trained models with their accuracies, newest first."""
    return queries.list_models(limit, cursor, run_id)


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
