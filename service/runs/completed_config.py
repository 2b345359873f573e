"""Completes the configuration of a run: with the recipes of its preset, and with what is known of a given teacher."""

from pydantic import ValidationError

from service.config.presets import preset, with_overrides
from service.config.run import RunConfig
from service.errors import InvalidRequest
from service.runs.preflight import trained_model
from service.store.database import Database
from service.store.schema.tables import DatasetRow
from workers.specs.base import Frozen
from workers.specs.recipe import Recipe

_NOT_SET: Recipe = RunConfig.model_fields["teacher_recipe"].default


def completed(database: Database, config: RunConfig) -> RunConfig:
    """Returns the whole configuration, before it is checked. Raises InvalidRequest."""
    return with_preset(database, with_first_teacher(database, config))


def with_first_teacher(database: Database, config: RunConfig) -> RunConfig:
    """Returns the configuration with the architecture of a given teacher.

    Raises InvalidRequest unless the run names exactly one first teacher, and one that the caller may see.
    """
    if config.teacher is None:
        if config.teacher_model is None:
            raise InvalidRequest("teacher_model", "is required: name a timm model, or give a trained one as `teacher`")
        return config
    if config.teacher_model is not None:
        raise InvalidRequest("teacher_model", "is what generation 0 trains, and `teacher` is given: leave one out")
    if "teacher_recipe" in config.model_fields_set and config.teacher_recipe != _NOT_SET:
        raise InvalidRequest("teacher_recipe", "trains generation 0, and `teacher` is given: leave one of them out")
    with database.read_once() as session:
        row = trained_model(session, "teacher.model", config.teacher.model)
    if config.teacher.architecture not in (None, row.model):
        raise InvalidRequest("teacher.architecture", f"{row.id} is a {row.model}: leave this out")
    return config.model_copy(update={"teacher": config.teacher.model_copy(update={"architecture": row.model})})


def with_preset(database: Database, config: RunConfig) -> RunConfig:
    """The configuration with whole recipes and selection, for the size of its labeled dataset.

    A run without a preset stays as it is, and so does one whose labeled dataset is not there, which is refused later.
    Raises InvalidRequest if a field of the run does not fit the preset.
    """
    if config.preset is None:
        return config
    with database.read_once() as session:
        labeled = session.get(DatasetRow, config.datasets.labeled)
    if labeled is None:
        return config
    return with_preset_for(config, max(1, labeled.rows))


def with_preset_for(config: RunConfig, labeled_images: int) -> RunConfig:
    """The configuration with whole recipes and selection, for that many labeled images. Raises InvalidRequest."""
    assert config.preset is not None
    names = ("teacher_recipe", "student_recipe") if config.teacher is None else ("student_recipe",)
    recipes = {name: _recipe(config, name, labeled_images) for name in names}
    selection = preset(config.preset).selection
    own = {name: getattr(config.selection, name) for name in config.selection.model_fields_set}
    return config.model_copy(update={**recipes, "selection": selection.model_copy(update=own)})


def _recipe(config: RunConfig, name: str, labeled_images: int) -> Recipe:
    own: Recipe = getattr(config, name)
    assert config.preset is not None
    batch = own.batch_size if "batch_size" in own.model_fields_set else None
    found: Frozen = getattr(preset(config.preset, labeled_images, batch), name)
    assert isinstance(found, Recipe)
    # A run that sets no recipe has the default one, of which no field was set by it.
    if name not in config.model_fields_set:
        return found
    try:
        return with_overrides(found, own)
    except ValidationError as error:
        first = error.errors()[0]
        place = [*(str(part) for part in first["loc"]), first.get("ctx", {}).get("field", "")]
        field = ".".join(["", *(part for part in place if part)])
        raise InvalidRequest(f"{name}{field}", f"with the preset {config.preset}: {first['msg']}") from error
