"""The training loop of one DDP worker. It reads like the recipe; a teacher is a student without pseudo labels."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from workers.artifact_io import join_uri, write_bytes
from workers.models.create import create_model
from workers.models.files import model_card, write_model
from workers.models.normalize import normalized
from workers.specs.recipe import Optimizer, Recipe
from workers.specs.stages import ModelCard, TrainSpec
from workers.stage_reporter import StageReporter
from workers.training.batches import Batch, BatchStream, StreamPart, batch_loader, share_of
from workers.training.lean_torch import put_off_dynamo
from workers.training.loss import noisy_student_loss
from workers.training.moving_average import MovingAverage
from workers.training.noise import training_transform
from workers.training.schedule import learning_rate_factor
from workers.training.session import Session, WorkerSession
from workers.training.sources import LabeledSource, PseudoLabeledSource
from workers.training.summary import SUMMARY_FILE, TrainSummary
from workers.training.validation import synchronize_buffers, validation_top1

_PROGRESS_EVERY_STEPS = 5
_MAX_METRIC_ROWS = 400
# The name of the option in newer versions of torch, and in older ones.
_DDP_OPTIONS = signature(DistributedDataParallel.__init__).parameters
_BUFFERS_OF_THEIR_OWN = {
    "forward_sync_buffers" if "forward_sync_buffers" in _DDP_OPTIONS else "broadcast_buffers": False
}


@dataclass
class _Place:
    """Where this worker stands: its rank, its device, and how numbers are held there."""

    rank: int
    world_size: int
    device: torch.device
    bf16: bool

    @property
    def is_first(self) -> bool:
        return self.rank == 0


OnValidation = Callable[[int, dict[str, float]], None]
"""Called by every worker with the steps done and what the validation showed. It may end the training by raising."""


def train(
    spec: TrainSpec, entered_at: float, session: Session | None = None, on_validation: OnValidation | None = None
) -> None:
    """Trains to the last step, from the last checkpoint if there is one, and writes the model and a summary.

    `session` is this process's place in a Ray Train group by default.
    """
    put_off_dynamo()
    session = session or WorkerSession()
    recipe, place = spec.recipe, _place(spec, session)
    torch.manual_seed(spec.seed)
    model = create_model(
        spec.model, len(spec.classes), recipe.image_size, recipe.noise.dropout, recipe.noise.drop_path
    ).to(place.device, memory_format=torch.channels_last)
    ema = MovingAverage(model, recipe.ema_decay)
    optimizer = _optimizer(model, recipe.optimizer)
    student = _distributed(model, place)
    first_step = _resume(session.load_checkpoint(), model, ema, optimizer)
    torch.manual_seed(spec.seed * 1_000_003 + first_step * 1_009 + place.rank)
    card = model_card(spec, model)
    log = _Log(spec, place, entered_at, first_step)

    batches = batch_loader(_batch_stream(spec, place, first_step), spec.workers.loader_processes, place.bf16)
    loss = torch.zeros(())
    broken = 0
    log.begin()
    for step in range(first_step, recipe.steps):
        batch = next(batches)
        student.train()
        _set_learning_rate(optimizer, recipe, step)
        loss = _step(student, batch, card, optimizer, recipe, place)
        ema.update(model, step)
        broken += batch.broken
        done = step + 1
        if _is_due(done, recipe.validate_every_steps, recipe.steps):
            log.validation_top1 = validation_top1(
                ema.model, spec.validation_manifest_uri, card, place.device, place.rank, place.world_size
            )
            log.row(done, loss)
            if on_validation is not None:
                on_validation(done, {"validation_top1": log.validation_top1})
        log.progress(done, loss)
        if done % recipe.checkpoint_every_steps == 0 and done < recipe.steps:
            synchronize_buffers(ema.model)
            state = _state(done, model, ema, optimizer) if place.is_first else None
            session.report_checkpoint(state, {"step": float(done)})

    if place.is_first:
        _finish(spec, card, ema.model, log, float(loss), first_step, broken)


def _place(spec: TrainSpec, session: Session) -> _Place:
    device = session.device
    if device.type == "cpu":
        torch.set_num_threads(max(1, int(spec.workers.cpus_per_worker)))
    else:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    bf16 = spec.recipe.precision == "bf16" or (spec.recipe.precision == "auto" and device.type == "cuda")
    return _Place(session.rank, session.world_size, device, bf16)


def _distributed(model: nn.Module, place: _Place) -> nn.Module:
    if place.world_size == 1:
        return model
    # Running statistics are made equal where they are used, in validation and checkpoints, not at each step.
    return DistributedDataParallel(
        model,
        device_ids=[place.device] if place.device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        **_BUFFERS_OF_THEIR_OWN,
    )


def _optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.momentum > 0
        )
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _batch_stream(spec: TrainSpec, place: _Place, first_step: int) -> BatchStream:
    recipe, classes = spec.recipe, len(spec.classes)
    parts = [
        StreamPart(
            LabeledSource(spec.labeled_manifest_uri, classes, recipe.label_smoothing),
            share_of(recipe.batch_size, place.rank, place.world_size),
        )
    ]
    if spec.pseudo_labels is not None:
        parts.append(
            StreamPart(
                PseudoLabeledSource(spec.pseudo_labels, classes, recipe),
                share_of(recipe.unlabeled_batch_size, place.rank, place.world_size),
            )
        )
    return BatchStream(parts, training_transform(recipe), spec.seed, place.rank, place.world_size, first_step)


def _step(
    student: nn.Module, batch: Batch, card: ModelCard, optimizer: torch.optim.Optimizer, recipe: Recipe, place: _Place
) -> torch.Tensor:
    images = batch.images.to(place.device, non_blocking=True)
    targets = batch.targets.to(place.device, non_blocking=True)
    with torch.autocast(place.device.type, dtype=torch.bfloat16, enabled=place.bf16):
        loss = noisy_student_loss(student(normalized(images, card.mean, card.std)), targets)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.optimizer.clip_gradient_norm is not None:
        nn.utils.clip_grad_norm_(student.parameters(), recipe.optimizer.clip_gradient_norm)
    optimizer.step()
    return loss.detach()


def _set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int) -> None:
    rate = recipe.optimizer.learning_rate * learning_rate_factor(step, recipe.steps, recipe.schedule)
    for group in optimizer.param_groups:
        group["lr"] = rate


def _is_due(done: int, every: int, last: int) -> bool:
    return done % every == 0 or done == last


def _state(step: int, model: nn.Module, ema: MovingAverage, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {
        "step": step,
        "model": model.state_dict(),
        "ema": ema.model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


def _resume(
    state: dict[str, Any] | None, model: nn.Module, ema: MovingAverage, optimizer: torch.optim.Optimizer
) -> int:
    if state is None:
        return 0
    model.load_state_dict(state["model"])
    ema.model.load_state_dict(state["ema"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _finish(
    spec: TrainSpec, card: ModelCard, kept: nn.Module, log: "_Log", loss: float, first_step: int, broken: int
) -> None:
    """Only the attempt that still owns the folder writes the model, and the summary after it."""
    log.reporter.check_still_ours()
    finished = card.model_copy(update={"validation_top1": log.validation_top1})
    write_model(spec.folder_uri, kept.state_dict(), finished)
    summary = TrainSummary(
        parameters=card.parameters,
        resumed_from_step=first_step,
        images_seen=spec.recipe.steps * log.images_a_step,
        final_loss=loss,
        validation_top1=log.validation_top1,
        bad_images=broken,
        work_started_at=log.work_started_at,
        work_ended_at=time.time(),
    )
    write_bytes(join_uri(spec.folder_uri, SUMMARY_FILE), summary.model_dump_json().encode())


class _Log:
    """Progress and metric rows; only the first worker writes them."""

    def __init__(self, spec: TrainSpec, place: _Place, entered_at: float, first_step: int) -> None:
        self.reporter = StageReporter(spec, entered_at)
        self.validation_top1 = 0.0
        self.work_started_at = 0.0
        recipe = spec.recipe
        self.images_a_step = recipe.batch_size + (recipe.unlabeled_batch_size if spec.pseudo_labels else 0)
        self._place = place
        self._steps = recipe.steps
        self._first_step = first_step
        self._row_every_steps = max(1, recipe.steps // _MAX_METRIC_ROWS, recipe.validate_every_steps // 4)

    def begin(self) -> None:
        self.work_started_at = time.time()
        if self._place.is_first:
            self.reporter.begin_work(self.work_started_at)
            self.reporter.announce(self._steps, "steps")

    def progress(self, done: int, loss: torch.Tensor) -> None:
        if not self._place.is_first:
            return
        if done % self._row_every_steps == 0 and done != self._steps:
            self.row(done, loss)
        if done % _PROGRESS_EVERY_STEPS == 0 or done == self._steps:
            self.reporter.update(done, {"loss": float(loss), **self._speed(done), **self._accuracy()})

    def row(self, done: int, loss: torch.Tensor) -> None:
        if self._place.is_first:
            self.reporter.log_row(done, {"loss": float(loss), **self._speed(done), **self._accuracy()})

    def _speed(self, done: int) -> dict[str, float]:
        seconds = max(1e-9, time.time() - self.work_started_at)
        return {"images_per_second": (done - self._first_step) * self.images_a_step / seconds}

    def _accuracy(self) -> dict[str, float]:
        return {"validation_top1": self.validation_top1} if self.validation_top1 else {}
