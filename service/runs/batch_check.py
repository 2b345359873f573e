"""Whether every worker of a training gets as many images a step as a batch norm needs. Pure."""

from service.errors import InvalidRequest
from workers.specs.recipe import Recipe

_LEAST_IMAGES = 2
"""Of one image most models' batch norms cannot take a variance: they raise at the first step."""


def check_batches(field: str, recipe: Recipe, workers: int, *, pseudo_labeled: bool, of: str = "batch_size") -> None:
    """Raises InvalidRequest, blaming `field`.`of`, where some worker's share of a step is too small.

    `pseudo_labeled` says whether the training has such images too: a student's has, but for its resolution step.
    """
    for phase, parts in _images_a_step(recipe, pseudo_labeled).items():
        # Shares are equal but for the remainder, which goes to the first workers: the last one has the least.
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
