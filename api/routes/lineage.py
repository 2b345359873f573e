"""/models/{id}/lineage and /models/{id}/keep: where a model comes from, and whether retention keeps that."""

from fastapi import APIRouter

from api.dependencies import LineageOf, ModelId, Retention
from api.examples.answers import MODEL, answers
from api.examples.lifecycle import LINEAGE
from api.schemas.problem import problem_responses
from service.views.lineage import ModelLineage
from service.views.runs import ModelView

router = APIRouter(prefix="/models", tags=["models"])


@router.get(
    "/{model_id}/lineage",
    summary="Show where a model comes from",
    responses=answers(200, LINEAGE, "The lineage") | problem_responses(404, 409, 422),
)
def get_lineage(model_id: ModelId, lineage: LineageOf) -> ModelLineage:
    """Returns teachers down to generation 0, datasets with their digests, recipes, seeds, label files, selections, and
    the code and package versions of each stage. Post `run_config` to /runs to repeat the same decisions."""
    return lineage.model_lineage(model_id)


@router.put(
    "/{model_id}/keep",
    summary="Keep a model",
    responses=answers(200, MODEL.model_copy(update={"kept": True}), "Kept") | problem_responses(404, 422),
)
def keep_model(model_id: ModelId, retention: Retention) -> ModelView:
    """Protects the model against retention, with the checkpoints, labels and selections of it and of its teachers.
    Artifacts that are already deleted do not come back. Repeating the call is no error."""
    return retention.set_kept(model_id, True)


@router.delete(
    "/{model_id}/keep",
    summary="Stop keeping a model",
    responses=answers(200, MODEL, "No longer kept") | problem_responses(404, 422),
)
def release_model(model_id: ModelId, retention: Retention) -> ModelView:
    """Applies the run's retention policy again. The model itself is never deleted. Repeating the call is no error."""
    return retention.set_kept(model_id, False)
