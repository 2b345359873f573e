"""/models: the models that runs produced."""

from fastapi import APIRouter

from api.dependencies import Cursor, Limit, ModelId, OfRun, Queries
from api.examples.answers import MODEL, answers, page_of
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
