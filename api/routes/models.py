"""/models: what the runs gave."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Cursor, Limit, ModelId, Queries
from api.schemas.answer_examples import MODEL, answers, page_of
from api.schemas.problem import problem_responses
from service.views import ModelView, Page

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="List models", responses=answers(200, page_of(MODEL), "One page") | problem_responses(404, 422))
def list_models(
    queries: Queries,
    run_id: Annotated[
        str | None, Query(max_length=100, description="Only this run's.", examples=["run-3f9c2a71d0"])
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ModelView]:
    """Trained models with their accuracies, newest first."""
    return queries.list_models(limit, cursor, run_id)


@router.get(
    "/{model_id}", summary="Show a model", responses=answers(200, MODEL, "The model") | problem_responses(404, 422)
)
def get_model(model_id: ModelId, queries: Queries) -> ModelView:
    """One trained model: where its weights lie, and its accuracy on the validation and the test set."""
    return queries.get_model(model_id)
