"""The exponential moving average of a model's weights: what is validated, kept and used for labeling."""

from copy import deepcopy

import torch
from torch import nn


class MovingAverage:
    """Averages parameters and running statistics with `decay`, and less while training is young.

    At step s the decay is min(decay, (1 + s) / (10 + s)), as TensorFlow's ExponentialMovingAverage(num_updates=s),
    which the authors' code uses. Written here because timm's class costs a second of imports in each worker.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards `model` after its `step`-th optimiser step (0-based)."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        averages, currents = self.model.state_dict().values(), model.state_dict().values()
        pairs = list(zip(averages, currents, strict=True))
        floating = [(average, current) for average, current in pairs if average.is_floating_point()]
        torch._foreach_lerp_([pair[0] for pair in floating], [pair[1] for pair in floating], weight)
        for average, current in pairs:
            if not average.is_floating_point():
                average.copy_(current)
