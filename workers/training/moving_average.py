"""The exponential moving average of a model's weights: what is validated, kept and used for labeling."""

from copy import deepcopy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """Averages a model's parameters and running statistics with `decay`, and less while training is young.

    At step s the decay is min(decay, (1 + s) / (10 + s)), as TensorFlow's ExponentialMovingAverage(num_updates=s),
    which the authors' code uses. Written here because timm's class costs a second of imports in each worker, and
    torch's own AveragedModel has one decay for all steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        # The tensors are looked up once: optimisers, checkpoints and DDP change them in place.
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        self._averages = [average for average, _ in pairs if average.is_floating_point()]
        self._averaged = [current for _, current in pairs if current.is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the model after its `step`-th optimiser step (0-based)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(self._averages, self._averaged, step)  # one pass over all of them
        for copy, current in self._copied:
            copy.copy_(current)
