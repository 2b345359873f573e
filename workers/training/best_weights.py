"""Follows the validations of a phase: which weights are the best, and whether training has stopped getting better."""

from typing import TypedDict

import torch

from workers.specs.optimization import EarlyEnd
from workers.specs.recipe import Recipe
from workers.training.sharding import gathered

Weights = dict[str, torch.Tensor]


class ProgressState(TypedDict):
    """What a checkpoint holds of it. `weights` are empty if the last ones are kept."""

    best: float
    last: float
    without_gain: int
    steps_left_out: int
    weights: Weights


class BestWeights:
    """The best accuracy of a phase so far, its weights if they are to be kept, and how long ago it was."""

    def __init__(self, recipe: Recipe, state: ProgressState | None = None) -> None:
        self._keeps = recipe.keep == "best"
        self._early_end: EarlyEnd | None = recipe.early_end
        self._best = -1.0 if state is None else state["best"]
        self._last = -1.0 if state is None else state["last"]
        self._without_gain = 0 if state is None else state["without_gain"]
        self.steps_left_out = 0 if state is None else state["steps_left_out"]
        """How many steps of this phase, or of the one before it, were not taken because it ended early."""
        self._weights: Weights = {} if state is None else state["weights"]

    @property
    def has_ended(self) -> bool:
        """Whether the phase ends here, because validation has not become better for a while."""
        return self._early_end is not None and self._without_gain >= self._early_end.patience

    @property
    def kept_accuracy(self) -> float:
        """The validation accuracy of the weights that the phase leaves. There must have been a validation."""
        return self._best if self._keeps else self._last

    def validated(self, accuracy: float, weights: Weights) -> None:
        """Notes a validation. Weights are copied, whole and to the CPU, where they are better than all before.

        All workers call it with the same accuracy.
        """
        gain = accuracy - self._best
        self._last = accuracy
        self._without_gain = 0 if gain > self._least_gain() else self._without_gain + 1
        if gain > 0:
            if self._keeps:
                whole: Weights = gathered(weights)
                self._weights = {name: tensor.detach().cpu().clone() for name, tensor in whole.items()}
            self._best = accuracy

    def kept(self, last: Weights) -> Weights:
        """The weights that the phase leaves: the best ones, or `last`."""
        return self._weights or last

    def state(self) -> ProgressState:
        return {
            "best": self._best,
            "last": self._last,
            "without_gain": self._without_gain,
            "steps_left_out": self.steps_left_out,
            "weights": self._weights,
        }

    def _least_gain(self) -> float:
        return 0.0 if self._early_end is None else self._early_end.least_gain
