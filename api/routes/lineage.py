"""/models/{id}/lineage and /models/{id}/keep: where a model comes from, and whether that stays."""

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
    """Teachers down to generation 0, datasets with their digests, recipes, seeds, label files and selections, code and
    package versions of each stage. `run_config` can be posted to /runs as it is: the same decisions once more."""
    return lineage.model_lineage(model_id)


@router.put(
    "/{model_id}/keep",
    summary="Keep a model",
    responses=answers(200, MODEL.model_copy(update={"kept": True}), "Kept") | problem_responses(404, 422),
)
def keep_model(model_id: ModelId, retention: Retention) -> ModelView:
    """Retention spares it and all that it came from: checkpoints, labels and selections of it and of its teachers.
    What is collected already does not come back. Asking again is no error."""
    return retention.set_kept(model_id, True)


@router.delete(
    "/{model_id}/keep",
    summary="Keep a model no longer",
    responses=answers(200, MODEL, "No longer kept") | problem_responses(404, 422),
)
def release_model(model_id: ModelId, retention: Retention) -> ModelView:
    """The run's retention policy holds for it again. The model itself is never collected. Asking again is no error."""
    return retention.set_kept(model_id, False)
