"""A model in training: its weights, their moving average and its optimiser, fresh or from a checkpoint."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, TypedDict, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from workers.initialization.tensors import read_tensors
from workers.models.create import create_model
from workers.models.files import model_card
from workers.models.position_embeddings import fitted_state
from workers.models.precision import Precision
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason
from workers.training.batch_statistics import average_batch_statistics, with_synchronized_batch_norm
from workers.training.best_weights import Weights
from workers.training.freezing import freeze_share, freeze_stages, frozen_norms
from workers.training.group.session import LearnerState, TrainSession
from workers.training.moving_average import MovingAverage
from workers.training.optimizers import LearningRate, make_optimizer
from workers.training.phases import Phase
from workers.training.sharding import gathered, load_whole_optimizer, load_whole_weights, shard


class _BufferOptions(TypedDict, total=False):
    """One option of DistributedDataParallel: its name in newer versions of torch, and in older ones."""

    forward_sync_buffers: bool
    broadcast_buffers: bool


_HAS_NEW_NAME = "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
_BUFFERS_OF_THEIR_OWN: _BufferOptions = (
    {"forward_sync_buffers": False} if _HAS_NEW_NAME else {"broadcast_buffers": False}
)


class Learner:
    """The model that one phase trains. It begins with `weights`, with those that are prepared, or with fresh ones.

    Raises StageError(USER_ERROR) if timm cannot build the model.
    """

    def __init__(
        self,
        phase: Phase,
        session: TrainSession,
        precision: Precision = "fp32",
        weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        spec, recipe = phase.spec, phase.recipe
        model = create_model(
            spec.model, len(spec.classes), recipe.image_size, recipe.noise.dropout, recipe.noise.drop_path
        )
        if recipe.sync_batch_norm:
            model = with_synchronized_batch_norm(model, spec.model, session)
        self.is_sharded = spec.workers.parallelism == "fsdp" and session.world_size > 1
        # A sharded model reaches the device in parts, and FSDP wants weights in their usual order.
        self.model = model if self.is_sharded else model.to(session.device).to(memory_format=torch.channels_last)
        if weights is not None:
            self.model.load_state_dict(fitted_state(self.model, weights))
        elif spec.prepared is not None:
            # What is not among them, such as a new classifier, stays as it was made.
            self.model.load_state_dict(fitted_state(self.model, read_tensors(spec.prepared.uri)), strict=False)
        freeze_share(self.model, phase.frozen_share)
        freeze_stages(self.model, recipe.freeze)
        self._frozen = frozen_norms(self.model)
        self.ema = MovingAverage(self.model, recipe.ema_decay)
        if recipe.gradient_checkpointing:
            _checkpoint_gradients(self.model, spec.model)
        if self.is_sharded:
            shard(self.model, session.device, session.world_size)
            shard(self.ema.model, session.device, session.world_size)
        self.optimizer = make_optimizer(self.model, recipe)
        self.learning_rate = LearningRate(self.optimizer, recipe)
        self.scaler = torch.amp.GradScaler(session.device.type, enabled=precision == "fp16")
        self._wrapped = self.model if self.is_sharded else _distributed(self.model, session)
        # torch says that it returns a function; of a module it makes a module.
        self.student = cast(nn.Module, torch.compile(self._wrapped)) if recipe.compile else self._wrapped
        self.card = model_card(spec, self.model)

    def train_mode(self) -> None:
        """Turns noise and batch statistics on. Those of frozen layers stay as they are."""
        self.student.train()
        for layer in self._frozen:
            layer.eval()

    def gradients_stay_here(self, stay: bool) -> AbstractContextManager[None]:
        """The context of a backward pass. If they `stay`, workers add up gradients and do not exchange them yet.

        Workers of a sharded model always exchange them: they would otherwise each add up gradients of the whole model.
        """
        if stay and isinstance(self._wrapped, DistributedDataParallel):
            return self._wrapped.no_sync()
        return nullcontext()

    def take_step(self, clip_gradient_norm: float | None) -> None:
        """Changes the weights by the gradients of `scaler`'s loss. With fp16, a step with infinite ones is left out."""
        if clip_gradient_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), clip_gradient_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def average_statistics(self) -> None:
        """Makes the workers' running statistics equal, before they are used. All workers call it at the same step."""
        for model in (self.model, self.ema.model):
            average_batch_statistics(model)

    def weights(self, keep: bool = True) -> Weights:
        """The moving average, whole. All workers call it; of a sharded model, those that do not `keep` it get none."""
        weights: Weights = gathered(self.ema.model.state_dict(), keep)
        return weights

    def state(self, step: int, keep: bool = True) -> LearnerState:
        """The part of a checkpoint that the learner knows, after `step` steps of all phases.

        It is the same for a sharded model: a training may go on with any number of workers, sharded or not. All
        workers call it; those that do not `keep` it get the tensors of a sharded model empty.
        """
        return {
            "step": step,
            "model": gathered(self.model.state_dict(), keep),
            "ema": self.weights(keep),
            "optimizer": gathered(self.optimizer.state_dict(), keep),
            "scaler": self.scaler.state_dict(),
        }

    def resume(self, state: LearnerState) -> None:
        """Goes on from a checkpoint of this phase."""
        load_whole_weights(self.model, state["model"])
        load_whole_weights(self.ema.model, state["ema"])
        load_whole_optimizer(self.optimizer, state["optimizer"])
        if state.get("scaler"):  # earlier versions had none
            self.scaler.load_state_dict(state["scaler"])


def _checkpoint_gradients(model: nn.Module, name: str) -> None:
    timm_model: Any = model
    try:
        timm_model.set_grad_checkpointing(True)
    except (AttributeError, AssertionError) as error:
        why = f"recipe.gradient_checkpointing: {name} has none; set it to false"
        raise StageError(FailureReason.USER_ERROR, why) from error


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
