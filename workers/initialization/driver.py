"""Makes the weights ready that a training begins with: once, by the stage's driver, for all of its workers."""

from collections.abc import Callable
from functools import partial

from pydantic import ValidationError

from workers.artifact_io import delete_if_there, join_uri, open_filesystem, read_bytes_if_there
from workers.initialization.own_process import in_own_process
from workers.runtime.stage_reporter import StageError
from workers.specs.initialization import (
    INITIAL_FOLDER,
    REPORT_FILE,
    TENSORS_FILE,
    InitialWeightsReport,
    InputConfiguration,
    PreparedWeights,
)
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason
from workers.specs.stages import TrainSpec


def prepared(spec: TrainSpec, alive: Callable[[], None], uri: str | None = None) -> TrainSpec:
    """The spec with its weights made ready, and with the fields of its recipe that follow them filled in.

    The weights go to the folder `uri`, by default initial/ in the folder of the spec. What an earlier attempt has made
    ready there is taken again, so that a retry begins with the same weights. Random weights need nothing. Raises
    StageError(USER_ERROR) if the weights are not there, cannot be read safely, or are another architecture's. `alive`
    is called now and then.
    """
    if spec.recipe.init.kind == "random":
        return spec
    uri = uri or join_uri(spec.folder_uri, INITIAL_FOLDER)
    report = read_report(uri)
    if report is None:
        report = in_own_process(partial(_make_ready, spec, uri), alive)
    return spec.model_copy(
        update={
            "recipe": followed(spec.recipe, report.configuration, report.weights.source),
            "prepared": PreparedWeights(uri=uri, weights=report.weights),
        }
    )


def read_report(uri: str) -> InitialWeightsReport | None:
    """What was found when the weights at `uri` were made ready; None if they are not."""
    data = read_bytes_if_there(join_uri(uri, REPORT_FILE))
    return None if data is None else InitialWeightsReport.model_validate_json(data)


def report_of(spec: TrainSpec) -> InitialWeightsReport | None:
    """What was found when the weights of a prepared spec were made ready; None if it begins with random ones."""
    return None if spec.prepared is None else read_report(spec.prepared.uri)


def forget_tensors(spec: TrainSpec) -> None:
    """Deletes the tensors of a prepared spec whose training is over, and keeps the report."""
    if spec.prepared is not None:
        delete_if_there(*open_filesystem(join_uri(spec.prepared.uri, TENSORS_FILE)))


def followed(recipe: Recipe, configuration: InputConfiguration, source: str) -> Recipe:
    """The recipe with the fields that follow the weights. Raises StageError(USER_ERROR) if the others forbid them."""
    try:
        return recipe.followed(configuration)
    except ValidationError as error:
        first = error.errors()[0]
        field = first.get("ctx", {}).get("field") or ".".join(str(part) for part in first["loc"])
        raise StageError(
            FailureReason.USER_ERROR,
            f"recipe.{field}: {first['msg']}. The recipe follows the configuration of {source}: set its image_size, "
            "mean, std, crop or interpolation yourself",
        ) from error


def _make_ready(spec: TrainSpec, uri: str) -> InitialWeightsReport:
    from workers.initialization.preparation import make_ready

    return make_ready(spec, uri)
