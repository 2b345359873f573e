"""The exponential moving average of a model's weights: what is validated, kept and used for labeling."""

from copy import deepcopy
from functools import cached_property

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from workers.training.sharding import own_part


class MovingAverage:
    """Averages a model's parameters and running statistics with `decay`, and less while training is young.

    At step s the decay is min(decay, (1 + s) / (10 + s)), as TensorFlow's ExponentialMovingAverage(num_updates=s),
    which the authors' code uses. Written here because timm's class costs a second of imports in each worker, and
    torch's own AveragedModel has one decay for all steps. If the model is to be sharded, `model` must be sharded
    alike before the first update: each worker then averages its parts.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._current = model
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the model after its `step`-th optimiser step (0-based)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        averaged = [(own_part(average), own_part(current)) for average, current in self._averaged]
        averages, currents = ([pair[side] for pair in averaged] for side in (0, 1))
        get_ema_multi_avg_fn(decay)(averages, currents, step)  # one pass over all of them
        for copy, current in self._copied:
            copy.copy_(current)

    # The tensors are looked up once: optimisers, checkpoints, DDP and FSDP change them in place.
    @cached_property
    def _pairs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        states = (model.state_dict(keep_vars=True) for model in (self.model, self._current))
        return list(zip(*(state.values() for state in states), strict=True))

    @cached_property
    def _averaged(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [pair for pair in self._pairs if pair[0].is_floating_point()]

    @cached_property
    def _copied(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [pair for pair in self._pairs if not pair[0].is_floating_point()]
