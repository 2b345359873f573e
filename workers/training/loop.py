"""The training loop of one DDP worker. It reads like the recipe; a teacher is a student without pseudo labels."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from workers.artifact_io import join_uri, write_bytes
from workers.models.files import write_model
from workers.models.normalize import normalized
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.stage_reporter import StageReporter
from workers.training.batches import Batch, BatchStream, StreamPart, batch_loader, share_of
from workers.training.lean_torch import put_off_dynamo
from workers.training.learner import Learner
from workers.training.loss import noisy_student_loss
from workers.training.noise import training_transform
from workers.training.phases import Phase, images_a_step, images_seen, phases_of
from workers.training.schedule import learning_rate_factor
from workers.training.session import Session, WorkerSession
from workers.training.sources import LabeledSource, PseudoLabeledSource
from workers.training.summary import SUMMARY_FILE, TrainSummary
from workers.training.validation import synchronize_buffers, validate

_PROGRESS_EVERY_STEPS = 5
_MAX_METRIC_ROWS = 400


@dataclass(frozen=True)
class _Place:
    """Where this worker stands, and how numbers are held there."""

    session: Session
    bf16: bool

    @property
    def rank(self) -> int:
        return self.session.rank

    @property
    def world_size(self) -> int:
        return self.session.world_size

    @property
    def device(self) -> torch.device:
        return self.session.device

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
    place = _place(spec, session or WorkerSession())
    torch.manual_seed(spec.seed)
    state = place.session.load_checkpoint()
    first_step = 0 if state is None else int(state["step"])
    log = _Log(spec, place, entered_at, first_step)
    trained: _Trained | None = None
    broken = 0
    for phase in phases_of(spec):
        if first_step > phase.end_step:
            continue
        weights = trained.learner.ema.model.state_dict() if trained else None
        trained = _train_phase(phase, place, state, weights, log, on_validation)
        broken += trained.broken
        state = None
    if place.is_first and trained is not None:
        _finish(spec, trained, log, first_step, broken)


@dataclass
class _Trained:
    """A phase that has come to its end."""

    learner: Learner
    loss: torch.Tensor
    broken: int


def _train_phase(
    phase: Phase,
    place: _Place,
    state: dict[str, Any] | None,
    weights: dict[str, torch.Tensor] | None,
    log: "_Log",
    on_validation: OnValidation | None,
) -> _Trained:
    spec, recipe = phase.spec, phase.recipe
    learner = Learner(phase, place.session, weights)
    begin = phase.first_step
    if state is not None:
        learner.resume(state)
        begin = int(state["step"])
    torch.manual_seed(spec.seed * 1_000_003 + begin * 1_009 + place.rank)
    stream = _batch_stream(spec, place, begin - phase.first_step)
    batches = batch_loader(stream, spec.workers.loader_processes, place.bf16)
    loss, broken = torch.zeros(()), 0
    log.begin()
    for step in range(begin, phase.end_step):
        batch = next(batches)
        learner.train_mode()
        _set_learning_rate(learner.optimizer, recipe, step - phase.first_step)
        loss = _step(learner, batch, recipe, place)
        learner.ema.update(learner.model, step - phase.first_step)
        broken += batch.broken
        done = step + 1
        if _is_due(done, recipe.validate_every_steps, phase.end_step):
            found = validate(learner.ema.model, spec, learner.card, place.device, place.rank, place.world_size)
            log.validated(done, loss, found)
            if on_validation is not None:
                on_validation(done, found)
        log.progress(done, loss)
        if done % recipe.checkpoint_every_steps == 0 and done < log.total_steps:
            synchronize_buffers(learner.ema.model)
            metrics = {"step": float(done), **log.values}
            place.session.report_checkpoint(learner.state(done) if place.is_first else None, metrics)
    return _Trained(learner, loss, broken)


def _place(spec: TrainSpec, session: Session) -> _Place:
    if session.device.type == "cpu":
        torch.set_num_threads(max(1, int(spec.workers.cpus_per_worker)))
    else:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    precision = spec.recipe.precision
    return _Place(session, bf16=precision == "bf16" or (precision == "auto" and session.device.type == "cuda"))


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


def _step(learner: Learner, batch: Batch, recipe: Recipe, place: _Place) -> torch.Tensor:
    images = batch.images.to(place.device, non_blocking=True)
    targets = batch.targets.to(place.device, non_blocking=True)
    with torch.autocast(place.device.type, dtype=torch.bfloat16, enabled=place.bf16):
        logits = learner.student(normalized(images, learner.card.mean, learner.card.std))
        loss = noisy_student_loss(logits, targets)
    learner.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.optimizer.clip_gradient_norm is not None:
        nn.utils.clip_grad_norm_(learner.student.parameters(), recipe.optimizer.clip_gradient_norm)
    learner.optimizer.step()
    return loss.detach()


def _set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int) -> None:
    rate = recipe.optimizer.learning_rate * learning_rate_factor(step, recipe.steps, recipe.schedule)
    for group in optimizer.param_groups:
        group["lr"] = rate


def _is_due(done: int, every: int, last: int) -> bool:
    return done % every == 0 or done == last


def _finish(spec: TrainSpec, trained: _Trained, log: "_Log", first_step: int, broken: int) -> None:
    """Only the attempt that still owns the folder writes the model, and the summary after it."""
    log.reporter.check_still_ours()
    stepped = spec.recipe.resolution_step is not None
    finished = trained.learner.card.model_copy(
        update={
            "validation_top1": log.values["validation_top1"],
            "train_image_size": spec.recipe.image_size if stepped else None,
        }
    )
    write_model(spec.folder_uri, trained.learner.ema.model.state_dict(), finished)
    summary = TrainSummary(
        parameters=finished.parameters,
        resumed_from_step=first_step,
        images_seen=images_seen(spec),
        final_loss=float(trained.loss),
        validation_top1=finished.validation_top1,
        bad_images=broken,
        work_started_at=log.work_started_at,
        work_ended_at=time.time(),
    )
    write_bytes(join_uri(spec.folder_uri, SUMMARY_FILE), summary.model_dump_json().encode())


class _Log:
    """Progress and metric rows; only the first worker writes them."""

    def __init__(self, spec: TrainSpec, place: _Place, entered_at: float, first_step: int) -> None:
        self.reporter = StageReporter(spec, entered_at)
        self.values: dict[str, float] = {}
        self.work_started_at = 0.0
        self.total_steps = spec.recipe.total_steps
        self._images_a_step = images_a_step(spec)
        self._place = place
        self._first_step = first_step
        self._row_every_steps = max(1, self.total_steps // _MAX_METRIC_ROWS, spec.recipe.validate_every_steps // 4)

    def begin(self) -> None:
        if self.work_started_at:
            return
        self.work_started_at = time.time()
        if self._place.is_first:
            self.reporter.begin_work(self.work_started_at)
            self.reporter.announce(self.total_steps, "steps")

    def validated(self, done: int, loss: torch.Tensor, found: dict[str, float]) -> None:
        self.values = found
        self._row(done, loss)

    def progress(self, done: int, loss: torch.Tensor) -> None:
        if not self._place.is_first:
            return
        if done % self._row_every_steps == 0 and done != self.total_steps:
            self._row(done, loss)
        if done % _PROGRESS_EVERY_STEPS == 0 or done == self.total_steps:
            self.reporter.update(done, {"loss": float(loss), **self._speed(done), **self.values})

    def _row(self, done: int, loss: torch.Tensor) -> None:
        if self._place.is_first:
            self.reporter.log_row(done, {"loss": float(loss), **self._speed(done), **self.values})

    def _speed(self, done: int) -> dict[str, float]:
        seconds = max(1e-9, time.time() - self.work_started_at)
        return {"images_per_second": (done - self._first_step) * self._images_a_step / seconds}
