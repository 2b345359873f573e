"""Checks of how a model is to be trained on its worker group. No I/O."""

from service.errors import InvalidRequest
from workers.specs.recipe import Recipe
from workers.specs.stages import WorkerGroup


def check_beginning(field: str, recipe: Recipe, model: str, teacher: str | None) -> None:
    """Raises InvalidRequest if the recipe begins with weights that `model` cannot have. `teacher` is None for one."""
    if recipe.begin_with == "scratch" or teacher == model:
        return
    why = "a teacher has none before it" if teacher is None else f"the student is {model} and its teacher {teacher}"
    raise InvalidRequest(f"{field}.begin_with", f"cannot be teacher: {why}; set it to scratch")


def check_training(field: str, recipe: Recipe, group: WorkerGroup) -> None:
    """Raises InvalidRequest, naming a field of `field`, the recipe, if its workers could not train as it says."""
    on_cpus = group.gpus_per_worker == 0
    if recipe.sync_batch_norm and on_cpus and group.max_workers > 1:
        raise InvalidRequest(
            f"{field}.sync_batch_norm",
            "torch synchronizes batch norm on GPUs only, and resources.train.gpus_per_worker is 0: give the workers "
            "GPUs, or set it to false, so that they average their statistics before each validation",
        )
