"""Computes the bill of a stage: measured seconds per image, step and start, times their number. No I/O."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from service.config.gate import gated_robustness
from service.estimates.estimated_run import DatasetSize, EstimatedRun
from service.estimates.selection_demand import selection_demand
from service.estimates.stage_demand import StageDemand, job_overhead
from service.views.estimates import StageBill
from workers.specs.figures import CALIBRATION_SAMPLE, SPARE_SHARDS, TRAINING_CHECKPOINTS_KEPT, window_of
from workers.specs.measure import CleanMeasurement, PhaseMeasurement
from workers.specs.robustness import RobustnessSettings
from workers.specs.search import SearchSettings, look_every_steps, most_steps, trial_steps
from workers.specs.stages import StageName


def stage_bill(run: EstimatedRun, generation: int, stage: StageName) -> StageBill:
    """Returns the line of the bill for one stage of a generation."""
    demand = _STAGES[stage](run, generation)
    wall_seconds = demand.work_seconds + demand.overhead_seconds
    device_hours = demand.devices * wall_seconds / 3600
    return StageBill(
        generation=generation,
        stage=stage,
        images=demand.images,
        processes=demand.processes,
        devices=demand.devices,
        images_per_second_per_device=1 / demand.speed_seconds if demand.speed_seconds else None,
        work_seconds=demand.work_seconds,
        overhead_seconds=demand.overhead_seconds,
        wall_seconds=wall_seconds,
        device_hours=device_hours,
        bytes_read=round(demand.bytes_read),
        bytes_written=round(demand.bytes_written),
        bytes_kept=round(demand.bytes_kept),
        copies_at_most=demand.copies_at_most,
        views=demand.views,
        teachers=demand.teachers,
        cost=run.cost(device_hours),
    )


def _label(run: EstimatedRun, generation: int) -> StageDemand:
    size, teacher = run.to_label(generation), run.student(generation - 1)
    data = run.measured.datasets["unlabeled"]
    actors = run.actors(size.shards)
    an_image = data.read_seconds_an_image + teacher.clean.label_seconds + teacher.clean.write_seconds
    # Actors do not share a shard, so some of them have no work during the last shards.
    a_shard = size.rows_a_shard * an_image
    work_seconds = math.ceil(size.shards / actors) * a_shard
    # Label files that are taken over are written as well, though nothing is computed for them.
    written = run.pool(generation).rows * teacher.clean.label_bytes
    calibration_seconds, calibration_bytes = _calibration(run, generation, teacher.clean)
    load_seconds = teacher.clean.label_load_seconds
    overhead_seconds = _pool_overhead(run, load_seconds) + calibration_seconds
    model_bytes = teacher.training.model_bytes + teacher.clean.further_bytes
    return StageDemand(
        images=size.rows,
        processes=actors,
        devices=actors * run.devices_an_actor,
        # A lost actor loses half a shard on average, and another one has to start.
        work_seconds=run.interrupted(work_seconds, run.devices_an_actor, a_shard / 2 + _actor_start(run, load_seconds)),
        overhead_seconds=overhead_seconds,
        bytes_read=size.rows * data.bytes_an_image + actors * model_bytes + calibration_bytes,
        bytes_written=written,
        bytes_kept=written,
        speed_seconds=an_image * run.devices_an_actor,
        views=run.config.labeling.views.count,
        teachers=1 + len(run.config.labeling.further_teachers),
    )


def _calibration(run: EstimatedRun, generation: int, clean: CleanMeasurement) -> tuple[float, float]:
    """Returns the seconds and bytes of the pass over validation images that fits the temperature before labeling."""
    if run.plans[generation].recipe.temperature != "fit":
        return 0.0, 0.0
    size, data = run.sizes["validation"], run.measured.datasets["validation"]
    images = min(size.rows, CALIBRATION_SAMPLE)
    seconds = size.rows * data.read_seconds_an_image + images * clean.label_seconds
    pool = _actor_start(run, clean.label_load_seconds) + run.measured.pool.finish_seconds
    return seconds / run.actors(size.shards) + pool, size.rows * data.bytes_an_image


def _search(run: EstimatedRun, generation: int) -> StageDemand:
    plan, training = run.plans[generation], run.student(generation).training
    assert plan.search is not None
    settings, group, phase = plan.search, run.config.resources.train, training.phases[0]
    steps = trial_steps(plan.recipe, settings)
    all_steps = steps_of_search(settings, steps)
    devices_a_trial = settings.workers_per_trial * run.devices_a_worker
    fits = max(1, int(run.shape.devices / devices_a_trial + 1e-9))
    at_once = min(fits, settings.trials, fits if run.whole else settings.max_parallel or fits)
    slowdown = run.slowdown(settings.workers_per_trial)
    looks = all_steps / look_every_steps(steps, settings)
    look_seconds = phase.corrupted_validation_seconds_an_image or phase.validation_seconds_an_image
    validation = run.sizes["validation"]
    trials_seconds = slowdown * (all_steps * phase.step_seconds + looks * validation.rows * look_seconds)
    # Trials of one worker reuse its process; larger trials each start a group.
    starts = settings.trials if settings.workers_per_trial > 1 else at_once
    start_seconds = run.measured.group.setup_seconds
    lost_seconds = trials_seconds / settings.trials / 2 + start_seconds
    return StageDemand(
        images=all_steps * phase.images_a_step,
        processes=at_once * settings.workers_per_trial,
        devices=at_once * devices_a_trial,
        work_seconds=run.interrupted(
            (trials_seconds + (starts - at_once) * start_seconds) / at_once, devices_a_trial, lost_seconds
        ),
        overhead_seconds=job_overhead(run) + start_seconds,
        bytes_read=_bytes_of_batches(run, generation, all_steps, at_once * group.max_workers)
        + looks * validation.rows * run.measured.datasets["validation"].bytes_an_image,
        bytes_written=settings.trials * training.model_bytes,
        bytes_kept=0.0,
        speed_seconds=slowdown * phase.step_seconds / phase.images_a_step * devices_a_trial,
    )


def steps_of_search(settings: SearchSettings, steps: int) -> int:
    """Returns the largest number of optimizer steps of all trials together, if a full trial takes `steps`."""
    stopping, trials = settings.early_stopping, settings.trials
    if stopping is None:
        return trials * steps
    granted = most_steps(trials, steps, look_every_steps(steps, settings), stopping.max_steps_share)
    return min(trials * steps, round(granted))


def _train(run: EstimatedRun, generation: int) -> StageDemand:
    recipe, training = run.plans[generation].recipe, run.student(generation).training
    workers = run.workers(recipe.batch_size)
    devices, slowdown = workers * run.devices_a_worker, run.slowdown(workers)
    ends = [recipe.steps, recipe.total_steps][: len(training.phases)]
    starts = [0, recipe.steps]
    validations = [_looks(start, end, recipe.validate_every_steps) for start, end in zip(starts, ends, strict=False)]
    work_seconds = sum(
        _phase_seconds(run, phase, end - start, looks, slowdown)
        for phase, start, end, looks in zip(training.phases, starts, ends, validations, strict=False)
    )
    checkpoints = (recipe.total_steps - 1) // recipe.checkpoint_every_steps
    work_seconds += checkpoints * training.checkpoint_seconds + training.model_write_seconds
    if not run.loaders:
        work_seconds += _reading_seconds(run, generation, workers)
    first = training.phases[0]
    # A lost worker stops the whole group and sets it back to the last checkpoint.
    lost_steps = min(recipe.checkpoint_every_steps, recipe.total_steps)
    lost_seconds = lost_steps * slowdown * first.step_seconds / 2 + run.measured.group.setup_seconds
    validation = run.sizes["validation"].rows * run.measured.datasets["validation"].bytes_an_image
    return StageDemand(
        images=sum(
            phase.images_a_step * (end - start)
            for phase, start, end in zip(training.phases, starts, ends, strict=False)
        ),
        processes=workers,
        devices=devices,
        work_seconds=run.interrupted(work_seconds, devices, lost_seconds),
        overhead_seconds=job_overhead(run) + run.measured.group.setup_seconds + run.measured.group.finish_seconds,
        bytes_read=_bytes_of_batches(run, generation, recipe.steps, workers) + sum(validations) * workers * validation,
        bytes_written=training.model_bytes + checkpoints * training.checkpoint_bytes,
        bytes_kept=training.model_bytes + min(TRAINING_CHECKPOINTS_KEPT, checkpoints) * training.checkpoint_bytes,
        speed_seconds=slowdown * first.step_seconds / first.images_a_step * devices,
    )


def _phase_seconds(run: EstimatedRun, phase: PhaseMeasurement, steps: int, looks: int, slowdown: float) -> float:
    validation = run.sizes["validation"].rows * phase.validation_seconds_an_image
    first = max(0.0, phase.first_step_seconds - phase.step_seconds)
    return first + slowdown * (steps * phase.step_seconds + looks * validation)


def _looks(start: int, end: int, every: int) -> int:
    """Returns how often training validates in the steps `start` + 1 to `end`: at each multiple of `every`, and at
    `end`."""
    return end // every - start // every + (end % every != 0)


@dataclass(frozen=True)
class _Source:
    """One dataset that a training reads: its part in the run, its size, and how many images the steps use."""

    part: str
    size: DatasetSize
    images_used: int

    def rows_read(self, workers: int, loaders: int) -> float:
        """Returns how many rows one worker reads with `loaders` loader processes.

        If all shards fit in the memory of a loader process, each process reads all rows once. If not, each image is
        read every time it is used.
        """
        kept = window_of(workers * loaders) + SPARE_SHARDS
        return loaders * self.size.rows if self.size.shards <= kept else self.images_used / workers


def _sources(run: EstimatedRun, generation: int, steps: int) -> list[_Source]:
    recipe = run.plans[generation].recipe
    labeled = _Source("labeled", run.sizes["labeled"], steps * recipe.batch_size)
    if generation == 0:
        return [labeled]
    return [labeled, _Source("unlabeled", run.pool(generation), steps * recipe.unlabeled_batch_size)]


def _bytes_of_batches(run: EstimatedRun, generation: int, steps: int, workers: int) -> float:
    loaders = max(1, run.loaders)
    return sum(
        workers * source.rows_read(workers, loaders) * run.measured.datasets[source.part].bytes_an_image
        for source in _sources(run, generation, steps)
    )


def _reading_seconds(run: EstimatedRun, generation: int, workers: int) -> float:
    """Returns how long a worker waits for shards if no loader process reads ahead."""
    return sum(
        source.rows_read(workers, loaders=1) * run.measured.datasets[source.part].read_seconds_an_image
        for source in _sources(run, generation, run.plans[generation].recipe.total_steps)
    )


def _evaluate(run: EstimatedRun, generation: int) -> StageDemand:
    student = run.student(generation)
    gate = run.config.gate
    # A gate on validation images has them judged as well.
    validation = ["validation"] if gate is not None and gate.on == "validation" else []
    parts = ["test", *run.config.evaluation.external_datasets, *validation]
    images = sum(run.sizes[part].rows for part in parts)
    actors = run.actors(sum(run.sizes[part].shards for part in parts))
    seconds = sum(
        run.sizes[part].rows * (run.measured.datasets[part].read_seconds_an_image + student.clean.predict_seconds)
        for part in parts
    )
    robustness = run.config.evaluation.robustness
    seconds += _robustness_seconds(robustness, student.clean, run.sizes["test"].rows)
    if gate is not None and validation:
        gated = gated_robustness(gate.conditions, robustness)
        seconds += _robustness_seconds(gated, student.clean, run.sizes["validation"].rows)
    read = sum(run.sizes[part].rows * run.measured.datasets[part].bytes_an_image for part in parts)
    load_seconds = student.clean.load_seconds
    return StageDemand(
        images=images,
        processes=actors,
        devices=actors * run.devices_an_actor,
        work_seconds=run.interrupted(seconds / actors, run.devices_an_actor, _actor_start(run, load_seconds)),
        overhead_seconds=_pool_overhead(run, load_seconds),
        bytes_read=read + actors * student.training.model_bytes,
        bytes_written=0.0,
        bytes_kept=0.0,
        speed_seconds=seconds / images * run.devices_an_actor,
    )


def _robustness_seconds(settings: RobustnessSettings | None, clean: CleanMeasurement, rows: int) -> float:
    if settings is None:
        return 0.0
    tables = (
        (settings.corruptions, clean.corruption_seconds),
        (settings.stability, clean.stability_seconds),
        (settings.adversarial, clean.adversarial_seconds),
    )
    return sum(
        min(asked.sample, rows) * seconds for asked, seconds in tables if asked is not None and seconds is not None
    )


def _actor_start(run: EstimatedRun, load_seconds: float) -> float:
    return run.measured.pool.setup_seconds + load_seconds


def _pool_overhead(run: EstimatedRun, load_seconds: float) -> float:
    return job_overhead(run) + _actor_start(run, load_seconds) + run.measured.pool.finish_seconds


_STAGES: dict[StageName, Callable[[EstimatedRun, int], StageDemand]] = {
    "label": _label,
    "select": selection_demand,
    "search": _search,
    "train": _train,
    "evaluate": _evaluate,
}
