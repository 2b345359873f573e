"""Times the trainings of a run in a real worker group, with the train stage's own steps on sampled images."""

import io
import time
from collections.abc import Mapping

import torch
import torch.distributed as dist

from workers.artifact_io import join_uri, list_files
from workers.measuring.sampled_run import SampledRun
from workers.models.files import write_model
from workers.specs.measure import PhaseMeasurement, TrainingMeasurement, TrainingsMeasured
from workers.specs.model_card import WEIGHTS_FILE
from workers.specs.stages import TrainSpec
from workers.training.best_weights import BestWeights
from workers.training.group.session import TrainSession
from workers.training.lean_torch import put_off_dynamo
from workers.training.learner import Learner
from workers.training.phases import Phase, images_a_step, phases_of
from workers.training.steps import PhaseSteps, WorkerPlace, layout_of, place_of, whole_state
from workers.training.validation import validate

_MOST_STEPS = 10_000
_STEPS_FOR_AN_ESTIMATE = 2


def measure_trainings(run: SampledRun, session: TrainSession) -> TrainingsMeasured:
    """Measures the training of every student of the run. All workers of the group must call it."""
    if not any(run.train_spec(student, run.folder_uri).recipe.compile for student in range(len(run.spec.students))):
        put_off_dynamo()
    started_at = 0.0
    measured = []
    for student in range(len(run.spec.students)):
        spec = run.train_spec(student, join_uri(run.folder_uri, f"training-{student}"))
        place = place_of(spec, session)
        torch.manual_seed(spec.seed)
        phases: list[PhaseMeasurement] = []
        steps: PhaseSteps | None = None
        for phase in phases_of(spec):
            weights = steps.learner.weights() if steps else None
            steps = PhaseSteps(phase, place, layout_of(spec, place), weights=weights)
            started_at = started_at or time.time()
            phases.append(_phase(run, phase, steps, place))
        assert steps is not None
        measured.append(_training(spec, steps.learner, phases, place))
    return TrainingsMeasured(
        work_started_at=started_at,
        work_ended_at=time.time(),
        workers=session.world_size,
        trainings=tuple(measured),
    )


def _phase(run: SampledRun, phase: Phase, steps: PhaseSteps, place: WorkerPlace) -> PhaseMeasurement:
    first_seconds = _steps_seconds(phase, steps, 0, 1)
    guess = _steps_seconds(phase, steps, 1, _STEPS_FOR_AN_ESTIMATE) / _STEPS_FOR_AN_ESTIMATE
    begin = 1 + _STEPS_FOR_AN_ESTIMATE
    wanted = int(min(_MOST_STEPS, max(4, _first_workers(run.spec.sample_seconds / max(guess, 1e-6), place))))
    warm_up = wanted // 4
    _steps_seconds(phase, steps, begin, warm_up)
    seconds = _steps_seconds(phase, steps, begin + warm_up, wanted - warm_up)
    plain, corrupted = (
        _validation(run, phase.spec.model_copy(update={"validate_corrupted": corrupted}), steps.learner, place)
        if run.spec.corrupted_validation or not corrupted
        else None
        for corrupted in (False, True)
    )
    assert plain is not None
    return PhaseMeasurement(
        steps=wanted - warm_up,
        images_a_step=images_a_step(phase.spec),
        first_step_seconds=first_seconds,
        step_seconds=seconds / (wanted - warm_up),
        validation_seconds_an_image=plain,
        corrupted_validation_seconds_an_image=corrupted,
    )


def _steps_seconds(phase: Phase, steps: PhaseSteps, begin: int, count: int) -> float:
    """Times `count` steps from step `begin` of a phase. If the phase has too few, its last step is repeated."""
    started_at, loss = time.perf_counter(), torch.zeros(())
    for step in range(begin, begin + count):
        loss = steps.take(min(phase.first_step + step, phase.end_step - 1))
    float(loss)  # waits for the GPU, which works asynchronously
    return time.perf_counter() - started_at


def _validation(run: SampledRun, spec: TrainSpec, learner: Learner, place: WorkerPlace) -> float:
    """The seconds for one validation image, over all sampled images, or over few if all would take too long."""
    few = spec.model_copy(update={"validation_manifest_uri": run.few_validation_uri})
    images, all_images = run.few_validation_images, run.validation_images
    _validation_seconds(few, learner, place)
    seconds = _first_workers(_validation_seconds(few, learner, place), place)
    if seconds * all_images / images > run.spec.sample_seconds:
        return seconds / images
    return _validation_seconds(spec, learner, place) / all_images


def _validation_seconds(spec: TrainSpec, learner: Learner, place: WorkerPlace) -> float:
    started_at = time.perf_counter()
    validate(learner.ema.model, spec, learner.card, place.device, place.rank, place.world_size)
    return time.perf_counter() - started_at


def _training(
    spec: TrainSpec, learner: Learner, phases: list[PhaseMeasurement], place: WorkerPlace
) -> TrainingMeasurement:
    started_at = time.perf_counter()
    learner.average_statistics()
    best = BestWeights(spec.recipe)
    state = whole_state(learner, spec.recipe.total_steps, layout_of(spec, place), best, place.is_first)
    place.session.report_checkpoint(state if place.is_first else None, {"step": 0.0})
    checkpoint_seconds = time.perf_counter() - started_at
    started_at = time.perf_counter()
    weights = learner.weights(place.is_first)
    if place.is_first:
        write_model(spec.folder_uri, weights, learner.card)
    return TrainingMeasurement(
        parameters=learner.card.parameters,
        model_bytes=list_files(spec.folder_uri)[WEIGHTS_FILE] if place.is_first else 0,
        checkpoint_bytes=_stored_bytes(state),
        phases=tuple(phases),
        checkpoint_seconds=checkpoint_seconds,
        model_write_seconds=time.perf_counter() - started_at,
    )


def _stored_bytes(state: Mapping[str, object]) -> int:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer().nbytes


def _first_workers(number: float, place: WorkerPlace) -> float:
    """The first worker's number, on all workers, so that they decide alike."""
    if place.world_size == 1:
        return number
    shared = torch.tensor([number], dtype=torch.float64, device=place.device)
    dist.broadcast(shared, src=0)
    return float(shared)
