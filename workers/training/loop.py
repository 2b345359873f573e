"""The training loop of one worker. A teacher is trained like a student, but without pseudo labels."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from workers.artifact_io import join_uri, write_bytes
from workers.data.order.lanes import Layout
from workers.models.device import gpu_memory
from workers.models.files import write_model
from workers.runtime.stage_reporter import StageReporter
from workers.specs.stages import TrainSpec
from workers.training.agreement import AfterStep, Agreement
from workers.training.best_weights import BestWeights, Weights
from workers.training.group.session import TrainingState, TrainSession, WorkerSession
from workers.training.lean_torch import put_off_dynamo
from workers.training.learner import Learner
from workers.training.optimizers import LearningRate
from workers.training.phases import Phase, images_a_step, images_seen, phases_of
from workers.training.steps import PhaseSteps, WorkerPlace, layout_of, place_of, whole_state
from workers.training.summary import SUMMARY_FILE, TrainSummary
from workers.training.validation import validate

_PROGRESS_EVERY_STEPS = 5
_MAX_METRIC_ROWS = 400


OnValidation = Callable[[int, dict[str, float]], None]
"""Every worker calls it with the steps done and the results of a validation. It may raise to end the training."""


def train(
    spec: TrainSpec, entered_at: float, session: TrainSession | None = None, on_validation: OnValidation | None = None
) -> None:
    """Trains a teacher or a student to its last step, and writes the model and a summary (Xie et al., section 2).

    It goes on from the last checkpoint if there is one. If a worker's node is to be taken away, it takes a checkpoint.
    If the service wants a pause, it ends with a checkpoint, and writes neither model nor summary. By default `session`
    is this process's place in a Ray Train worker group. `entered_at` is when the stage began (Unix seconds).
    """
    if not spec.recipe.compile:
        put_off_dynamo()
    place = place_of(spec, session or WorkerSession())
    torch.manual_seed(spec.seed)
    state = place.session.load_checkpoint()
    first_step = 0 if state is None else int(state["step"])
    layout = layout_of(spec, place, state)
    log = _Log(spec, place, entered_at, first_step)
    trained: _Trained | None = None
    for phase in phases_of(spec):
        if first_step > phase.end_step:
            continue
        trained = _train_phase(phase, place, layout, state, trained, log, on_validation)
        if trained.paused:
            return
        state = None
    if trained is not None:
        _finish(spec, trained, log, first_step)


@dataclass
class _Trained:
    """A phase of training that has ended."""

    learner: Learner
    best: BestWeights
    loss: float
    paused: bool = False
    """Whether it ended before its last step, because the service wants a pause."""

    def weights(self, keep: bool = True) -> Weights:
        """The whole weights that it leaves: the last ones or the best ones, as its recipe says. All workers call it."""
        return self.best.kept(self.learner.weights(keep))


def _train_phase(
    phase: Phase,
    place: WorkerPlace,
    layout: Layout,
    state: TrainingState | None,
    before: "_Trained | None",
    log: "_Log",
    on_validation: OnValidation | None,
) -> _Trained:
    spec, recipe = phase.spec, phase.recipe
    steps = PhaseSteps(phase, place, layout, state, before.weights() if before else None)
    learner = steps.learner
    log.learning_rate = learner.learning_rate
    best = BestWeights(recipe, None if state is None else state.get("progress"))
    if before is not None:
        best.steps_left_out = before.best.steps_left_out
    loss = torch.zeros(())
    log.begin()
    agreement = Agreement(place.session, steps.first_step)
    for step in range(steps.first_step, phase.end_step):
        loss = steps.take(step)
        done = step + 1
        if _is_due(done, recipe.validate_every_steps, phase.end_step):
            learner.average_statistics()
            found = validate(learner.ema.model, spec, learner.card, place.device, place.rank, place.world_size)
            best.validated(found["validation_top1"], learner.ema.model.state_dict())
            log.validated(done, loss, found)
            if on_validation is not None:
                on_validation(done, found)
        log.progress(done, loss)
        if best.has_ended:
            best.steps_left_out = phase.end_step - done
            break
        if done == log.total_steps:
            break
        follows = agreement.after(done, log.wish)
        if follows >= AfterStep.CHECKPOINT or done % recipe.checkpoint_every_steps == 0:
            learner.average_statistics()
            whole = whole_state(learner, done, layout, best, place.is_first)
            metrics = {"step": float(done), **log.values}
            place.session.report_checkpoint(whole if place.is_first else None, metrics)
        if follows == AfterStep.PAUSE:
            return _Trained(learner, best, place.mean(loss), paused=True)
    return _Trained(learner, best, place.mean(loss))


def _is_due(done: int, every: int, last: int) -> bool:
    return done % every == 0 or done == last


def _finish(spec: TrainSpec, trained: _Trained, log: "_Log", first_step: int) -> None:
    """The first worker writes the model, then the summary, if this attempt still owns the folder. All call it."""
    weights = trained.weights(log.is_first)
    if not log.is_first:
        return
    log.reporter.check_still_ours()
    stepped = spec.recipe.resolution_step is not None
    finished = trained.learner.card.model_copy(
        update={
            "validation_top1": trained.best.kept_accuracy,
            "train_image_size": spec.recipe.image_size if stepped else None,
            "noise": spec.recipe.noise,
        }
    )
    write_model(spec.folder_uri, weights, finished)
    summary = TrainSummary(
        parameters=finished.parameters,
        resumed_from_step=first_step,
        steps=spec.recipe.total_steps - trained.best.steps_left_out,
        images_seen=images_seen(spec) - trained.best.steps_left_out * images_a_step(spec),
        final_loss=trained.loss,
        validation_top1=trained.best.kept_accuracy,
        work_started_at=log.work_started_at,
        work_ended_at=time.time(),
    )
    write_bytes(join_uri(spec.folder_uri, SUMMARY_FILE), summary.model_dump_json().encode())


class _Log:
    """Writes progress and metric rows. Only the first worker does so, but all must call it: they share the loss."""

    def __init__(self, spec: TrainSpec, place: WorkerPlace, entered_at: float, first_step: int) -> None:
        self.reporter = StageReporter(spec, entered_at)
        self.reporter.workers, self.reporter.gpus_each = place.world_size, spec.workers.gpus
        self.is_first = place.is_first
        self.values: dict[str, float] = {}
        self.work_started_at = 0.0
        self.total_steps = spec.recipe.total_steps
        self._images_a_step = images_a_step(spec)
        self._place = place
        self._first_step = first_step
        self.learning_rate: LearningRate | None = None
        """The phase's."""
        self._row_at = 0  # of the last row, because a validation logs its own
        self._row_every_steps = max(1, self.total_steps // _MAX_METRIC_ROWS, spec.recipe.validate_every_steps // 4)

    def begin(self) -> None:
        if self.work_started_at:
            return
        self.work_started_at = time.time()
        if self._place.is_first:
            self.reporter.begin_work(self.work_started_at)
            self.reporter.keep_rows(self._first_step)
            self.reporter.announce(self.total_steps, "steps")

    def validated(self, done: int, loss: torch.Tensor, found: dict[str, float]) -> None:
        self.values = found
        self._row(done, self._values(done, loss))

    def progress(self, done: int, loss: torch.Tensor) -> None:
        is_row = done % self._row_every_steps == 0 and done not in (self._row_at, self.total_steps)
        is_report = done % _PROGRESS_EVERY_STEPS == 0 or done == self.total_steps
        if not (is_row or is_report):
            return
        values = self._values(done, loss)  # all workers together
        if is_row:
            self._row(done, values)
        if is_report and self._place.is_first:
            self.reporter.update(done, values)

    def wish(self) -> AfterStep:
        """What this worker wishes to follow. The first one knows whether the service wants a pause."""
        if self._place.is_first and self.reporter.pause_requested():
            return AfterStep.PAUSE
        return AfterStep.CHECKPOINT if self._place.session.checkpoint_wished() else AfterStep.GO_ON

    def _row(self, done: int, values: dict[str, float]) -> None:
        self._row_at = done
        if self._place.is_first:
            self.reporter.log_row(done, values)

    def _values(self, done: int, loss: torch.Tensor) -> dict[str, float]:
        seconds = max(1e-9, time.time() - self.work_started_at)
        speed = (done - self._first_step) * self._images_a_step / seconds
        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate.highest}
        memory = gpu_memory(self._place.device)
        return {"loss": self._place.mean(loss), "images_per_second": speed, **rate, **memory, **self.values}
