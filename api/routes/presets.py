"""/presets: recipes by name."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Jobs, PlacementSettingsOf
from api.examples.answers import PRESETS, answers
from api.schemas.problem import problem_responses
from service.config.presets import IMAGENET_IMAGES, PRESET_NAMES, PresetName, preset
from service.config.presets.suggested import suggest_preset
from service.ray_client.cluster_gpus import gpus_of_cluster
from service.views.presets import Presets

router = APIRouter(prefix="/presets", tags=["runs"])
LabeledImages = Annotated[
    int, Query(ge=1, le=10**12, description="The size of the labeled set, from which steps follow. Default: ImageNet.")
]
PictureSide = Annotated[
    int | None,
    Query(ge=1, le=10**6, description="The usual shorter side of the pictures in pixels: suggests a preset for them."),
]
Classes = Annotated[int, Query(ge=2, le=100_000, description="The number of classes, for the suggestion.")]
UnlabeledImages = Annotated[int, Query(ge=0, le=10**12, description="The size of the pool, for the suggestion.")]
Named = Annotated[
    PresetName | None, Query(description="Suggests what to change in this preset, and not another preset.")
]


@router.get("", summary="List presets", responses=answers(200, PRESETS, "All presets") | problem_responses(422))
def list_presets(
    jobs: Jobs,
    placement: PlacementSettingsOf,
    labeled_images: LabeledImages = IMAGENET_IMAGES,
    picture_side: PictureSide = None,
    classes: Classes = 2,
    name: Named = None,
    unlabeled_images: UnlabeledImages = 0,
) -> Presets:
    """Lists the recipes that a run may name as its `preset`, each with its source, for a labeled set of a size.
    Suggests one of them for pictures of a size, by what is known of the cluster, with the reasons."""
    suggested = None
    if picture_side is not None:
        gpus = gpus_of_cluster(jobs, placement.node_groups)
        suggested = suggest_preset(labeled_images, picture_side, classes, gpus, name, unlabeled_images)
    presets = [preset(each, labeled_images) for each in PRESET_NAMES]
    return Presets(labeled_images=labeled_images, presets=presets, suggested=suggested)
