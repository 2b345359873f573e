"""/presets: recipes by name."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.examples.answers import PRESETS, answers
from api.schemas.problem import problem_responses
from service.config.presets import IMAGENET_IMAGES, PRESET_NAMES, preset
from service.views.presets import Presets

router = APIRouter(prefix="/presets", tags=["runs"])
LabeledImages = Annotated[
    int, Query(ge=1, le=10**12, description="The size of the labeled set, from which steps follow. Default: ImageNet.")
]


@router.get("", summary="List presets", responses=answers(200, PRESETS, "All presets") | problem_responses(422))
def list_presets(labeled_images: LabeledImages = IMAGENET_IMAGES) -> Presets:
    """Lists the recipes that a run may name as its `preset`, each with its source, for a labeled set of a size."""
    return Presets(labeled_images=labeled_images, presets=[preset(name, labeled_images) for name in PRESET_NAMES])
