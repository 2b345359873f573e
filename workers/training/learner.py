"""A model in training: its weights, their moving average and its optimiser, fresh or from a checkpoint."""

from collections.abc import Mapping
from inspect import signature
from typing import TypedDict

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from workers.models.create import BATCH_NORMS, create_model
from workers.models.files import load_state, model_card, read_card
from workers.models.position_embeddings import fitted_state
from workers.runtime.stage_reporter import StageError
from workers.specs.recipe import Optimizer
from workers.specs.reports import FailureReason
from workers.training.batch_statistics import average_batch_statistics, with_synchronized_batch_norm
from workers.training.group.session import LearnerState, TrainSession
from workers.training.moving_average import MovingAverage
from workers.training.phases import Phase


class _BufferOptions(TypedDict, total=False):
    """One option of DistributedDataParallel: its name in newer versions of torch, and in older ones."""

    forward_sync_buffers: bool
    broadcast_buffers: bool


_HAS_NEW_NAME = "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
_BUFFERS_OF_THEIR_OWN: _BufferOptions = (
    {"forward_sync_buffers": False} if _HAS_NEW_NAME else {"broadcast_buffers": False}
)


class Learner:
    """The model that one phase trains. It begins with `weights`, with those that the spec names, or with fresh ones.

    Raises StageError(USER_ERROR) if timm cannot build the model, or the weights belong to another model.
    """

    def __init__(self, phase: Phase, session: TrainSession, weights: Mapping[str, torch.Tensor] | None = None) -> None:
        spec, recipe = phase.spec, phase.recipe
        model = create_model(
            spec.model, len(spec.classes), recipe.image_size, recipe.noise.dropout, recipe.noise.drop_path
        )
        if recipe.sync_batch_norm:
            model = with_synchronized_batch_norm(model, spec.model, session)
        self.model = model.to(session.device).to(memory_format=torch.channels_last)
        if weights is None and spec.initial_model_uri is not None:
            weights = _initial_weights(spec.initial_model_uri, spec.model, spec.classes)
        if weights is not None:
            self.model.load_state_dict(fitted_state(self.model, weights))
        self._frozen = _freeze(self.model, phase.frozen_share)
        self.ema = MovingAverage(self.model, recipe.ema_decay)
        self.optimizer = _optimizer(self.model, recipe.optimizer)
        self.student = _distributed(self.model, session)
        self.card = model_card(spec, self.model)

    def train_mode(self) -> None:
        """Turns noise and batch statistics on. Those of frozen layers stay as they are."""
        self.student.train()
        for layer in self._frozen:
            layer.eval()

    def average_statistics(self) -> None:
        """Makes the workers' running statistics equal, before they are used. All workers call it at the same step."""
        for model in (self.model, self.ema.model):
            average_batch_statistics(model)

    def state(self, step: int) -> LearnerState:
        """The part of a checkpoint that the learner knows, after `step` steps of all phases."""
        return {
            "step": step,
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def resume(self, state: LearnerState) -> None:
        """Goes on from a checkpoint of this phase."""
        self.model.load_state_dict(state["model"])
        self.ema.model.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])


def _initial_weights(folder_uri: str, model: str, classes: tuple[str, ...]) -> dict[str, torch.Tensor]:
    try:
        card = read_card(folder_uri)
    except FileNotFoundError as error:
        raise StageError(FailureReason.USER_ERROR, f"there is no model at {folder_uri} to begin with") from error
    if card.model != model or card.classes != classes:
        what = f"a {card.model}" if card.model != model else "of other classes"
        raise StageError(FailureReason.USER_ERROR, f"the model at {folder_uri} to begin with is {what}, not a {model}")
    return load_state(folder_uri)


def _freeze(model: nn.Module, share: float) -> list[nn.Module]:
    """Freezes the first `share` of tensors, and returns the normalisation layers that are wholly frozen."""
    parameters = list(model.parameters())
    for parameter in parameters[: int(share * len(parameters))]:
        parameter.requires_grad_(False)
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, BATCH_NORMS)
        and list(layer.parameters())
        and not any(parameter.requires_grad for parameter in layer.parameters())
    ]


def _distributed(model: nn.Module, session: TrainSession) -> nn.Module:
    if session.world_size == 1:
        return model
    # Running statistics are averaged only where they are used: in validation and in checkpoints.
    return DistributedDataParallel(
        model,
        device_ids=[session.device] if session.device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        **_BUFFERS_OF_THEIR_OWN,
    )


def _optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=True
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
