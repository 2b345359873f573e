"""Checks that every worker of a training gets enough images per step for batch norm. No I/O."""

from service.errors import InvalidRequest
from workers.specs.recipe import Recipe

_LEAST_IMAGES = 2
"""A batch norm cannot compute a variance over one image: most models would raise at the first step."""


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
