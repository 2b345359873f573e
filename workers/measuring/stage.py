"""Runs the measure stage: samples each dataset, then times selection, the worker group and the pool of actors."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from workers.artifact_io import delete_folder, join_uri, read_bytes, write_bytes
from workers.initialization.driver import prepared
from workers.measuring.cluster import cluster_seen, room_for, wait_for_node
from workers.measuring.sample import Sample, draw_sample, first_images
from workers.measuring.sampled_run import SampledRun, training_of
from workers.measuring.select_probe import make_labels, measure_select
from workers.runtime.capacity import demand_of_group, demand_of_pool
from workers.runtime.cluster import join_cluster, settled_on_cluster
from workers.runtime.resource_watch import watch_for_resources
from workers.runtime.stage_reporter import StageReporter
from workers.specs.devices import devices_of
from workers.specs.measure import (
    CleanMeasurement,
    GroupMeasurement,
    MeasuredStudent,
    Measurement,
    PoolMeasurement,
    StudentMeasurement,
    TrainingMeasurement,
    TrainingsMeasured,
    external_part,
)
from workers.specs.recipe import Recipe
from workers.specs.results import MeasureResult
from workers.specs.stages import ActorPool, MeasureSpec, TrainSpec

_TRAINING_IMAGES = 4096
_EVALUATION_IMAGES = 1000
_FEW_IMAGES = 64
_WAITS, _WAIT_SECONDS = 50, 0.1
_TRAININGS_FILE = "trainings.json"


def run_measure(spec: MeasureSpec, reporter: StageReporter) -> MeasureResult:
    """Measures what a run's bill consists of. Leaves nothing but its result.

    Raises StageError(BAD_DATA) if images cannot be read, and StageError(USER_ERROR) if a model cannot be built or
    the weights that it begins with cannot be had.
    """
    began_at = time.time()
    join_cluster()
    joined_at = time.time()
    spec = settled_on_cluster(spec)
    reporter.devices = devices_of(spec)
    watch = watch_for_resources(spec, reporter)
    folder_uri = join_uri(spec.folder_uri, "sample")
    delete_folder(folder_uri)  # of an earlier attempt
    try:
        spec = with_recipes_that_follow_weights(spec, folder_uri, reporter)
        looks = _distinct_looks(spec)
        reporter.announce(2 + len(set(looks)) + len(spec.students), "samples")
        reporter.begin_work()
        samples = _draw_samples(spec, folder_uri)
        run = _sampled_run(spec, samples, folder_uri)
        reporter.update(1)
        select = measure_select(spec, join_uri(folder_uri, "made")) if "unlabeled" in samples else None
        reporter.update(2)
        # Each finds the cluster as a stage would: its nodes are there, and everything before it has ended.
        training = demand_of_group(spec.workers, spec.workers.workers_a_model_needs)
        for_training = wait_for_node(training, reporter, spec.nodes.groups)
        group, trainings = _measure_group(run, room_for(training, for_training))
        reporter.update(2 + len(trainings))
        _wait_for_free_cpus()
        labeling = demand_of_pool(spec.pool)
        if watch is not None:
            watch.turn_to(labeling)
        for_labeling = wait_for_node(labeling, reporter, spec.nodes.groups)
        pool, clean = _measure_pool(run, room_for(labeling, for_labeling), looks, reporter)
    finally:
        delete_folder(folder_uri)
    reporter.end_work()
    measurement = Measurement(
        cluster=max(cluster_seen(for_training), cluster_seen(for_labeling), key=lambda seen: (seen.gpus, seen.cpus)),
        driver_seconds=began_at - reporter.timing().entered_at,
        connect_seconds=joined_at - began_at,
        datasets={part: sample.seen for part, sample in samples.items()},
        pool=pool,
        group=group,
        select=select,
        students=tuple(
            StudentMeasurement(training=training, clean=clean[look])
            for training, look in zip(trainings, looks, strict=True)
        ),
    )
    return MeasureResult(attempt=spec.attempt, timing=reporter.timing(), measurement=measurement)


def with_recipes_that_follow_weights(spec: MeasureSpec, folder_uri: str, reporter: StageReporter) -> MeasureSpec:
    """Fills in what students' recipes take from their initial weights, such as the image size, on which costs depend.

    What is measured begins with random weights, which cost as much. There is no teacher yet: a student that begins with
    its weights follows the recipe of the last student of the same model.
    """
    students: list[MeasuredStudent] = []
    for number, student in enumerate(spec.students):
        if student.recipe.init.kind == "teacher":
            teachers = [each.recipe for each in students if each.model == student.model]
            recipe = student.recipe.followed(teachers[-1].configuration) if teachers else student.recipe
        else:
            training = training_of(spec, number, join_uri(folder_uri, f"weights-{number}"))
            recipe = prepared(training, reporter.still_alive).recipe
        students.append(student.model_copy(update={"recipe": recipe}))
    return spec.model_copy(update={"students": tuple(students)})


def _draw_samples(spec: MeasureSpec, folder_uri: str) -> dict[str, Sample]:
    """Samples of all datasets, by the part that a dataset plays in the run."""
    wanted = {
        "labeled": (spec.labeled_manifest_uri, _TRAINING_IMAGES),
        "unlabeled": (spec.unlabeled_manifest_uri, _TRAINING_IMAGES),
        "validation": (spec.validation_manifest_uri, _EVALUATION_IMAGES),
        "test": (spec.test_manifest_uri, _EVALUATION_IMAGES),
        **{external_part(name): (uri, _EVALUATION_IMAGES) for name, uri in spec.external_manifest_uris.items()},
    }
    return {
        part: draw_sample(uri, join_uri(folder_uri, "data", part), images)
        for part, (uri, images) in wanted.items()
        if uri is not None
    }


def _sampled_run(spec: MeasureSpec, samples: dict[str, Sample], folder_uri: str) -> SampledRun:
    few = first_images(samples["validation"], _FEW_IMAGES, join_uri(folder_uri, "data", "few"))
    unlabeled = samples.get("unlabeled")
    return SampledRun(
        spec=spec,
        folder_uri=folder_uri,
        labeled_uri=samples["labeled"].manifest_uri,
        validation_uri=samples["validation"].manifest_uri,
        validation_images=samples["validation"].manifest.rows,
        few_validation_uri=few.manifest_uri,
        few_validation_images=few.manifest.rows,
        test_uri=samples["test"].manifest_uri,
        to_label_uri=(unlabeled or samples["test"]).manifest_uri,
        pseudo_labels=(
            make_labels(spec, unlabeled.manifest_uri, unlabeled.manifest, join_uri(folder_uri, "pseudo"))
            if unlabeled
            else None
        ),
    )


def _distinct_looks(spec: MeasureSpec) -> list[int]:
    """For each student the first one with the same model and the same preparation of pictures."""
    keys = [(each.model, *_preparation(each.recipe)) for each in spec.students]
    return [keys.index(key) for key in keys]


def _preparation(recipe: Recipe) -> tuple[object, ...]:
    """All that makes the pixels that a finished model sees."""
    crop = recipe.crop, recipe.test_crop_fraction
    return recipe.test_image_size, *crop, recipe.interpolation, recipe.mean, recipe.std


def _measure_pool(
    run: SampledRun, room: int, looks: Sequence[int], reporter: StageReporter
) -> tuple[PoolMeasurement, dict[int, CleanMeasurement]]:
    """Measures each distinct model, in as many actors at once as the run asks for and the cluster has room for."""
    imported_at = time.time()
    from workers.runtime.shard_pool import map_shards  # ray.data

    import_seconds = time.time() - imported_at
    _start_helpers_of_ray_data(run.spec.pool)
    pool, distinct = run.spec.pool, sorted(set(looks))
    actors = min(room, pool.max_actors or room)
    items = [student for student in distinct for _ in range(actors)]
    found: dict[int, list[CleanMeasurement]] = {student: [] for student in distinct}
    called_at = time.time()
    first_at, last_at = float("inf"), 0.0
    all_at_once = ActorPool(
        min_actors=actors,
        max_actors=actors,
        cpus_per_actor=pool.cpus_per_actor,
        gpus_per_actor=pool.gpus,
        node_labels=pool.node_labels,
    )
    for done in map_shards(partial(_make_probe, run, tuple(items)), range(len(items)), all_at_once):
        found[items[done.shard_index]].append(CleanMeasurement.model_validate_json(done.payload))
        first_at, last_at = min(first_at, done.started_at), max(last_at, done.ended_at)
        measured_looks = sum(len(each) == actors for each in found.values())
        reporter.update(2 + len(run.spec.students) + measured_looks)
    measured = PoolMeasurement(
        actors=actors,
        gpus_per_actor=pool.gpus,
        setup_seconds=import_seconds + first_at - called_at,
        finish_seconds=max(0.0, time.time() - last_at),
    )
    return measured, {student: _mean(each) for student, each in found.items()}


def _start_helpers_of_ray_data(pool: ActorPool) -> None:
    """Starts the actors that the first job of Ray Data on a cluster starts, and that later jobs find running."""
    import ray.data

    from workers.runtime.shard_pool import set_data_context

    set_data_context(pool)
    ray.data.range(1).materialize()


def _wait_for_free_cpus() -> None:
    """Waits until the worker group's CPUs are free again, but no more than a few seconds: others may use them."""
    import ray

    for _ in range(_WAITS):
        if ray.available_resources().get("CPU", 0.0) >= ray.cluster_resources().get("CPU", 0.0):
            return
        time.sleep(_WAIT_SECONDS)


def _make_probe(run: SampledRun, items: tuple[int, ...]) -> Callable[[int], bytes]:
    from workers.measuring.clean_probe import CleanProbe  # torch, in the actors only

    probe = CleanProbe(run)
    return lambda index: probe(items[index])


def _measure_group(run: SampledRun, room: int) -> tuple[GroupMeasurement, tuple[TrainingMeasurement, ...]]:
    """Measures all trainings in one worker group. It has the run's size if the cluster has room for that."""
    from workers.training.stage import fit_in_actor

    asked = run.spec.workers
    workers = min(asked.max_workers, room)
    group = run.train_spec(0, join_uri(run.folder_uri, "group"))
    group = group.model_copy(update={"workers": asked.model_copy(update={"num_workers": workers, "max_failures": 0})})
    called_at = time.time()
    fit_in_actor(group, partial(_measure_on_worker, run), called_at)
    ended_at = time.time()
    found = TrainingsMeasured.model_validate_json(read_bytes(join_uri(run.folder_uri, _TRAININGS_FILE)))
    measured = GroupMeasurement(
        workers=found.workers,
        gpus_per_worker=asked.gpus,
        setup_seconds=found.work_started_at - called_at,
        finish_seconds=max(0.0, ended_at - found.work_ended_at),
    )
    return measured, found.trainings


def _measure_on_worker(run: SampledRun, _group: TrainSpec, _entered_at: float) -> None:
    from workers.measuring.training_probe import measure_trainings
    from workers.training.group.session import WorkerSession

    session = WorkerSession()
    measured = measure_trainings(run, session)
    if session.rank == 0:
        write_bytes(join_uri(run.folder_uri, _TRAININGS_FILE), measured.model_dump_json().encode())


def _mean(measured: Sequence[CleanMeasurement]) -> CleanMeasurement:
    """The mean over actors that worked at the same time."""
    values = [each.model_dump() for each in measured]
    means = {name: None if first is None else fmean(each[name] for each in values) for name, first in values[0].items()}
    return CleanMeasurement(**{**means, "images": sum(each["images"] for each in values)})
