"""Checks of how a model is trained: its noise, batches and initial weights, and the views it can label. No I/O."""

import re
from collections.abc import Iterable, Mapping

from service.errors import InvalidRequest
from service.model_catalog import CatalogModel
from workers.specs.initialization import (
    HUB_PREFIX,
    WEIGHT_SUFFIXES,
    FileInit,
    PretrainedInit,
    TeacherInit,
    fits_any_model,
)
from workers.specs.labeling import Views
from workers.specs.recipe import Recipe
from workers.specs.search import SearchSettings
from workers.specs.worker_group import WorkerGroup

_REPOSITORY = re.compile(rf"{HUB_PREFIX}[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)
_LEAST_IMAGES = 2
"""A batch norm cannot compute a variance over one image: most models would raise at the first step."""


def check_init(
    field: str, recipe: Recipe, model: str, teacher: str | None, catalog: Mapping[str, CatalogModel]
) -> None:
    """Raises InvalidRequest if the recipe begins with weights that `model` cannot have. `teacher` is None for one.

    Whether a file or a model of the service is there and fits, its caller and the stage find out.
    """
    tagged = [f"{model}.{tag}" for tag in catalog[model].weights]
    match recipe.init:
        case TeacherInit() if teacher != model:
            reason = f"the student is {model} and its teacher {teacher}" if teacher else "a teacher has none before it"
            raise InvalidRequest(f"{field}.init", f"cannot be of the kind teacher: {reason}; choose another kind")
        case PretrainedInit(name=None):
            check_pretrained(f"{field}.init", recipe, model, catalog)
        case PretrainedInit(name=str(name)) if name.startswith(HUB_PREFIX):
            if not _REPOSITORY.fullmatch(name):
                raise InvalidRequest(f"{field}.init.name", f"{name!r} is not of the form hf-hub:OWNER/NAME[@REVISION]")
        case PretrainedInit(name=str(name)) if name not in [*tagged, *([model] if tagged else [])]:
            known = ", ".join(tagged) or "none"
            raise InvalidRequest(f"{field}.init.name", f"timm has no weights {name!r} for {model}; it has {known}")
        case FileInit(uri=uri) if not uri.partition("?")[0].endswith(WEIGHT_SUFFIXES):
            raise InvalidRequest(f"{field}.init.uri", f"a file of weights ends in {', '.join(WEIGHT_SUFFIXES)}")
        case _:
            pass


def check_pretrained(field: str, recipe: Recipe, model: str, catalog: Mapping[str, CatalogModel]) -> None:
    """Raises InvalidRequest, naming `field`, if the recipe begins with timm's weights and timm has none for `model`."""
    if recipe.init.kind == "pretrained" and not catalog[model].weights:
        raise InvalidRequest(
            field,
            f"timm has no weights for {model}: name some on the hub (hf-hub:OWNER/NAME) in the recipe's init, give a "
            "file, begin with random weights, or choose another model",
        )


def check_models_can_begin(
    field: str, recipe: Recipe, models: Iterable[str], catalog: Mapping[str, CatalogModel]
) -> None:
    """Raises InvalidRequest, naming `field`, if other models than the recipe's own cannot begin as it says."""
    for name in models:
        if not fits_any_model(recipe.init):
            raise InvalidRequest(
                field,
                f"the recipe's init is of the kind {recipe.init.kind}, and other models cannot have these weights: "
                "leave models out, or begin with random weights or with the pretrained ones of each model",
            )
        check_pretrained(field, recipe, name, catalog)


def check_noise(field: str, recipe: Recipe, name: str, catalog: Mapping[str, CatalogModel]) -> None:
    """Raises InvalidRequest for noise that would silently have no effect on the model."""
    if recipe.noise.drop_path > 0 and not catalog[name].drop_path:
        raise InvalidRequest(
            f"{field}.noise.drop_path", f"{name} has no stochastic depth that acts in training: drop_path must be 0"
        )
    if recipe.noise.dropout > 0 and not catalog[name].dropout:
        raise InvalidRequest(
            f"{field}.noise.dropout", f"{name} has no dropout that acts in training: dropout must be 0"
        )


def check_views(views: Views, field: str, teacher: Recipe) -> None:
    """Raises InvalidRequest if a teacher of the recipe `teacher`, named by `field`, would gain nothing from a view."""
    if views.flip and not teacher.horizontal_flip:
        raise InvalidRequest(
            "labeling.views.flip",
            f"{field} has horizontal_flip false, so that teacher knows no mirror images and its answers to them would "
            "spoil the mean: set flip to false, or train with horizontal_flip",
        )
    if views.crops > 1 and (teacher.crop == "none" or teacher.centre_crop_fraction == 1):
        why = "crop none" if teacher.crop == "none" else "a test_crop_fraction of 1"
        raise InvalidRequest(
            "labeling.views.crops",
            f"{field} has {why}, which leaves no corners to crop: set crops to 1, or train with crop random_resized "
            "and a test_crop_fraction below 1",
        )


def check_training(field: str, recipe: Recipe, group: WorkerGroup) -> None:
    """Raises InvalidRequest, naming a field of `field`, the recipe, if its workers could not train as it says."""
    on_cpus = group.gpus_per_worker == 0
    if recipe.sync_batch_norm and on_cpus and group.max_workers > 1:
        raise InvalidRequest(
            f"{field}.sync_batch_norm",
            "torch synchronizes batch norm on GPUs only, and resources.train.gpus_per_worker is 0: give the workers "
            "GPUs, or set it to false, so that they average their statistics before each validation",
        )
    if recipe.compile and group.parallelism == "fsdp":
        raise InvalidRequest(
            f"{field}.compile",
            "a model that workers share cannot be compiled, and resources.train.parallelism is fsdp: set compile to "
            "false, or parallelism to ddp",
        )


def check_trials(field: str, search: SearchSettings, group: WorkerGroup) -> None:
    """Raises InvalidRequest, naming a field of `field`, the search, if its trials could not share a model."""
    if group.parallelism == "fsdp" and search.workers_per_trial == 1:
        raise InvalidRequest(
            f"{field}.workers_per_trial",
            "is 1, and resources.train.parallelism is fsdp, which shares a model over at least 2 workers: raise it",
        )


def check_batches(field: str, recipe: Recipe, workers: int, *, pseudo_labeled: bool, of: str = "batch_size") -> None:
    """Raises InvalidRequest, naming `field`.`of`, if some worker's share of a step is too small.

    `pseudo_labeled` says whether the training also uses pseudo-labeled images. A student's training does, except in
    its resolution step.
    """
    for phase, parts in _images_a_step(recipe, pseudo_labeled).items():
        # The remainder goes to the first workers, so the last worker has the smallest share.
        least = sum(part // workers for part in parts)
        if least < _LEAST_IMAGES:
            images = " and ".join(
                f"{part} {kind}" for part, kind in zip(parts, ("labeled", "pseudo-labeled"), strict=False)
            )
            raise InvalidRequest(
                f"{field}.{of}" if field else of,
                f"{phase} of {images} images shared by {workers} worker{'' if workers == 1 else 's'} leaves {least} "
                f"for one of them, and each needs {_LEAST_IMAGES} or more: models with batch norm cannot train on less",
            )


def _images_a_step(recipe: Recipe, pseudo_labeled: bool) -> dict[str, tuple[int, ...]]:
    labeled = (recipe.batch_size,)
    both = (recipe.batch_size, recipe.unlabeled_batch_size)
    phases: dict[str, tuple[int, ...]] = {"a step": both if pseudo_labeled and recipe.unlabeled_batch_size else labeled}
    if recipe.resolution_step is not None:
        phases["a step of the resolution step"] = labeled
    return phases
