"""The phases of a training: the recipe's own phase, then the resolution step, whose recipe has no noise."""

from dataclasses import dataclass

from workers.specs.noise import Noise
from workers.specs.optimization import Schedule
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec


@dataclass(frozen=True)
class Phase:
    """A part of the training with a recipe of its own. Its steps are counted on from the phase before."""

    spec: TrainSpec
    """The spec of a training that consists of this phase alone."""
    first_step: int
    end_step: int
    frozen_share: float = 0.0
    as_tested: bool = False
    """Whether pictures are shown as the finished model will see them: resized and cropped at the centre."""

    @property
    def recipe(self) -> Recipe:
        return self.spec.recipe


def phases_of(spec: TrainSpec) -> list[Phase]:
    """The phases of a training: one, or two with a resolution step.

    The resolution step fixes the train-test resolution discrepancy. It trains on "unaugmented labeled images" (Xie et
    al., section 3.1) as they will be tested (Touvron et al. 2019; `remove_aug` of the authors' code): without random
    crop, flip, RandAugment, dropout and drop path.
    """
    recipe, step = spec.recipe, spec.recipe.resolution_step
    first = Phase(spec, 0, recipe.steps)
    if step is None:
        return [first]
    later = recipe.model_copy(
        update={
            "image_size": step.image_size,
            "steps": step.steps,
            "horizontal_flip": False,
            "unlabeled_ratio": 0.0,
            "noise": Noise(rand_augment=None, dropout=0.0, drop_path=0.0),
            "mixing": None,
            "early_end": None,
            # The step says itself what stays frozen, and its learning rate is meant for its batch.
            "freeze": 0,
            "optimizer": recipe.optimizer.model_copy(
                update={"learning_rate": step.learning_rate, "scale_learning_rate": "no"}
            ),
            "schedule": Schedule(kind="cosine", warmup_steps=0),
            "resolution_step": None,
        }
    )
    labeled_only = spec.model_copy(update={"recipe": later, "pseudo_labels": None, "seed": spec.seed + 1})
    return [first, Phase(labeled_only, recipe.steps, recipe.total_steps, step.frozen_share, as_tested=True)]


def images_seen(spec: TrainSpec) -> int:
    """How many images all steps of all phases see, over all workers."""
    return sum(images_a_step(phase.spec) * phase.recipe.steps for phase in phases_of(spec))


def images_that_count(spec: TrainSpec) -> int:
    """What the sum of the losses of a step's images, over all workers, is divided by."""
    return spec.recipe.batch_size if spec.recipe.loss_divisor == "labeled_images" else images_a_step(spec)


def fewest_images_of_a_worker(spec: TrainSpec, workers: int) -> int:
    """The smallest share of a step's images: the remainders go to the first workers."""
    unlabeled = spec.recipe.unlabeled_batch_size if spec.pseudo_labels else 0
    return sum(images // workers for images in (spec.recipe.batch_size, unlabeled))


def images_a_step(spec: TrainSpec) -> int:
    """How many labeled and pseudo-labeled images a step sees, over all workers."""
    return spec.recipe.batch_size + (spec.recipe.unlabeled_batch_size if spec.pseudo_labels else 0)
