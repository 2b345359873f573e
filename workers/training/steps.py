"""The optimiser steps of one phase on one worker: the student, its batches, and how a step is taken."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist

from workers.data.order.lanes import Layout
from workers.models.normalize import normalized
from workers.models.precision import Precision, autocast, precision_on
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import loaders_of
from workers.training.best_weights import BestWeights
from workers.training.group.session import TrainingState, TrainSession
from workers.training.input.batches import Batch, BatchStream, MakePicture, StreamPart, Worker, batch_loader
from workers.training.input.noise import TrainingTransform
from workers.training.input.sources import LabeledSource, pseudo_labeled_source, shards_kept
from workers.training.input.training_images import PictureReader, TestedPictureReader
from workers.training.learner import Learner
from workers.training.loss import images_of_a_worker, noisy_student_loss
from workers.training.mixing import mixed_batch
from workers.training.phases import Phase, fewest_images_of_a_worker, images_that_count

_BY_DEMAND: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
"""Whatever device computes with one of them also computes with those before it."""


@dataclass(frozen=True)
class WorkerPlace:
    """A worker's place in its group, and the precision that it computes with."""

    session: TrainSession
    precision: Precision

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

    def mean(self, value: torch.Tensor) -> float:
        """The mean of the workers' values. Every worker calls this at the same step, and gets the same result."""
        if self.world_size == 1:
            return float(value)
        total = value.detach().to(self.device, torch.float64)
        dist.all_reduce(total)
        return float(total) / self.world_size


def place_of(spec: TrainSpec, session: TrainSession) -> WorkerPlace:
    """Sets this worker's process up as the spec asks (threads, TF32 on GPUs), and returns its place."""
    if session.device.type == "cpu":
        torch.set_num_threads(max(1, int(spec.workers.cpus_per_worker)))
    else:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return WorkerPlace(session, _agreed_precision(session, precision_on(session.device, spec.recipe.precision)))


def _agreed_precision(session: TrainSession, own: Precision) -> Precision:
    """What all workers can compute with, in case their GPUs are of different kinds."""
    if session.world_size == 1 or session.device.type != "cuda":
        return own
    common = torch.tensor([_BY_DEMAND.index(own)], device=session.device)
    dist.all_reduce(common, op=dist.ReduceOp.MIN)
    return _BY_DEMAND[int(common)]


def layout_of(spec: TrainSpec, place: WorkerPlace, state: TrainingState | None = None) -> Layout:
    """The layout of the workers that began the training, or of as many as it may have if their number is a range.

    Others go on with the same order of samples.
    """
    if state is None:
        group = spec.workers
        workers = group.max_workers if group.min_workers < group.max_workers else place.world_size
        return Layout(workers, max(1, loaders_of(group)))
    return Layout(*state["layout"])


def whole_state(learner: Learner, step: int, layout: Layout, best: BestWeights, keep: bool = True) -> TrainingState:
    """What a checkpoint holds after `step` steps of all phases, in a training that began with `layout`.

    All workers call it; those that do not `keep` it get the tensors of a sharded model empty.
    """
    return {**learner.state(step, keep), "layout": [layout.workers, layout.processes], "progress": best.state()}


class PhaseSteps:
    """The student of a phase and its batches, from the phase's first step or from a checkpoint's `state`.

    `weights` are those that an earlier phase has left, if there was one.
    """

    def __init__(
        self,
        phase: Phase,
        place: WorkerPlace,
        layout: Layout,
        state: TrainingState | None = None,
        weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        spec = phase.spec
        self._phase = phase
        self._place = place
        self.learner = Learner(phase, place.session, place.precision, weights)
        self.first_step = phase.first_step
        if state is not None:
            self.learner.resume(state)
            self.first_step = int(state["step"])
        torch.manual_seed(spec.seed * 1_000_003 + self.first_step * 1_009 + place.rank)
        make_picture = (
            TestedPictureReader(self.learner.card) if phase.as_tested else PictureReader(TrainingTransform(spec.recipe))
        )
        stream = _batch_stream(spec, place, layout, self.first_step - phase.first_step, make_picture)
        self._batches = batch_loader(stream, loaders_of(spec.workers), pin_memory=place.device.type == "cuda")
        self.learner.train_mode()  # for good: validation uses the moving average, which is a model of its own

    def take(self, step: int) -> torch.Tensor:
        """Takes one step. `step` is counted over all phases.

        Returns this worker's part of the loss. The mean of all workers' parts is the loss of the step's whole batch.
        """
        learner, step_of_phase = self.learner, step - self._phase.first_step
        batch = next(self._batches)
        learner.learning_rate.set_for(step_of_phase)
        # Of a worker's own: its batch is. Of the step: a resume mixes the same images.
        draws = random.Random(f"{self._phase.spec.seed}/mixing/{step}/{self._place.rank}")
        loss = _step(learner, batch, self._phase.spec, self._place, draws)
        learner.ema.update(step_of_phase)
        return loss


def _batch_stream(
    spec: TrainSpec, place: WorkerPlace, layout: Layout, first_step: int, make_picture: MakePicture
) -> BatchStream:
    recipe, classes = spec.recipe, len(spec.classes)

    def kept(images_a_step: int) -> int:
        processes = max(1, loaders_of(spec.workers))
        return shards_kept(layout, images_a_step, place.rank, place.world_size, processes)

    labeled = LabeledSource(
        spec.labeled_manifest_uri, classes, recipe.label_smoothing, kept(recipe.batch_size), recipe.class_weights
    )
    parts = [StreamPart(labeled, recipe.batch_size)]
    if spec.pseudo_labels is not None and recipe.unlabeled_batch_size > 0:
        pseudo = pseudo_labeled_source(spec.pseudo_labels, classes, recipe, kept(recipe.unlabeled_batch_size))
        parts.append(StreamPart(pseudo, recipe.unlabeled_batch_size))
    return BatchStream(parts, make_picture, spec.seed, Worker(place.rank, place.world_size), layout, first_step)


def _step(learner: Learner, batch: Batch, spec: TrainSpec, place: WorkerPlace, draws: random.Random) -> torch.Tensor:
    images = normalized(batch.images.to(place.device, non_blocking=True), learner.card.mean, learner.card.std)
    targets = batch.targets.to(place.device, non_blocking=True)
    if spec.recipe.mixing is not None:
        images, targets = mixed_batch(images, targets, batch.labeled, spec.recipe.mixing, draws)
    learner.optimizer.zero_grad(set_to_none=True)
    counted = images_of_a_worker(images_that_count(spec), place.world_size)
    # As many on every worker: each pass over a sharded model is one of all of them.
    parts = min(spec.recipe.accumulate, fewest_images_of_a_worker(spec, place.world_size))
    total = torch.zeros((), device=place.device)
    keeps_casts = not learner.is_sharded  # they would be the whole model's
    for part in range(parts):
        # Every part has images of both kinds, as far as there are any.
        rows = slice(part, None, parts)
        with learner.gradients_stay_here(part < parts - 1), autocast(place.device, place.precision, keeps_casts):
            loss = noisy_student_loss(learner.student(images[rows]), targets[rows], counted)
            learner.scaler.scale(loss).backward()
        total += loss.detach()
    learner.take_step(spec.recipe.optimizer.clip_gradient_norm)
    return total
