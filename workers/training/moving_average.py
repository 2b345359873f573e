"""The exponential moving average of a model's weights: what is validated, kept and used for labeling."""

from copy import deepcopy

import torch
from torch import nn


class MovingAverage:
    """Averages a model's parameters and running statistics with `decay`, and less while training is young.

    At step s the decay is min(decay, (1 + s) / (10 + s)), as TensorFlow's ExponentialMovingAverage(num_updates=s),
    which the authors' code uses. Written here because timm's class costs a second of imports in each worker.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        # The tensors are looked up once: optimisers, checkpoints and DDP change them in place.
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the model after its `step`-th optimiser step (0-based)."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([pair[0] for pair in self._averaged], [pair[1] for pair in self._averaged], weight)
        if self._copied:
            torch._foreach_copy_([pair[0] for pair in self._copied], [pair[1] for pair in self._copied])
