"""Checks of how a model is trained: its batches, batch norm and initial weights, and the views it can label. No I/O."""

from service.errors import InvalidRequest
from workers.specs.labeling import Views
from workers.specs.recipe import Recipe
from workers.specs.worker_group import WorkerGroup

_LEAST_IMAGES = 2
"""A batch norm cannot compute a variance over one image: most models would raise at the first step."""


def check_beginning(field: str, recipe: Recipe, model: str, teacher: str | None) -> None:
    """Raises InvalidRequest if the recipe begins with weights that `model` cannot have. `teacher` is None for one."""
    if recipe.begin_with == "scratch" or teacher == model:
        return
    why = "a teacher has none before it" if teacher is None else f"the student is {model} and its teacher {teacher}"
    raise InvalidRequest(f"{field}.begin_with", f"cannot be teacher: {why}; set it to scratch")


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
