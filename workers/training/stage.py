"""Runs the train stage: starts a Ray Train worker group, and makes the stage's result from its summary."""

from collections.abc import Callable

import ray

from workers.artifact_io import join_uri, read_bytes_if_there
from workers.initialization.driver import forget_tensors, prepared, report_of
from workers.leakage.labeled_images import check_labeled_images
from workers.runtime.stage_reporter import Paused, StageReporter
from workers.specs.results import TrainResult
from workers.specs.stages import TrainSpec
from workers.training.image_check import check_images
from workers.training.summary import SUMMARY_FILE, TrainSummary

_RAY_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # A report waits until the controller has seen the last one. By default the controller looks every two seconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # No actor that warns of preemptions: the workers do so themselves (workers/training/group/drain_notice.py).
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}

TrainOnWorker = Callable[[TrainSpec, float], None]
"""What each worker of a group runs: the spec, and when the driver began (Unix seconds)."""


def run_train(spec: TrainSpec, reporter: StageReporter) -> TrainResult:
    """Trains the model of `spec`, a teacher or a student (Xie et al., section 2).

    A rerun goes on from the last checkpoint, and does not repeat a finished training. Raises StageError(BAD_DATA) if
    more labeled or validation images are broken than max_bad_fraction allows, and StageError(USER_ERROR) if a labeled
    image is an evaluation image, or the weights to begin with cannot be had.
    """
    spec = prepared(spec, reporter.still_alive)  # before any worker, so that no GPU waits for weights
    reporter.announce(spec.recipe.total_steps, "steps")
    broken = check_images(spec, reporter.still_alive)
    near_duplicates = _near_duplicates(spec, reporter)
    summary = _read_summary(spec)
    if summary is None:
        fit_in_actor(spec, _train_on_worker, reporter.timing().entered_at)
        summary = _read_summary(spec)
    if summary is None:
        if reporter.pause_requested():
            raise Paused("paused at a checkpoint")
        raise RuntimeError("Ray Train ended without an error and without a summary")
    forget_tensors(spec)
    reporter.begin_work(summary.work_started_at)
    reporter.end_work(summary.work_ended_at)
    return TrainResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        model_uri=spec.folder_uri,
        parameters=summary.parameters,
        steps=spec.recipe.total_steps if summary.steps is None else summary.steps,
        resumed_from_step=summary.resumed_from_step,
        images_seen=summary.images_seen,
        final_loss=summary.final_loss,
        validation_top1=summary.validation_top1,
        bad_images=broken,
        train_image_size=spec.recipe.image_size,
        test_image_size=spec.recipe.test_image_size,
        initial_weights=report_of(spec),
        labeled_near_duplicates=near_duplicates,
    )


def _near_duplicates(spec: TrainSpec, reporter: StageReporter) -> int | None:
    """Compares the labeled images with the evaluation images, if the spec asks for it."""
    if spec.labeled_images is None:
        return None
    return check_labeled_images(
        spec.labeled_images,
        spec.evaluation_images,
        spec.near_duplicate_distance,
        spec.folder_uri,
        reporter.still_alive,
    )


def fit_in_actor(spec: TrainSpec, train_on_worker: TrainOnWorker, entered_at: float) -> None:
    """Runs the trainer in an actor, so that the driver needs neither torch nor ray.train. Call ray.init() first.

    `train_on_worker` is called in each worker of the group that `spec` asks for.
    """
    environment = {"env_vars": _RAY_TRAIN_ENVIRONMENT}
    # Not on a node that it would keep from being removed: it holds no resources there.
    labels = dict(spec.nodes.helper_node_labels)
    trainer = ray.remote(num_cpus=0, max_restarts=0, runtime_env=environment, label_selector=labels)(
        _TrainerActor
    ).remote()
    ray.get(trainer.fit.remote(spec, train_on_worker, entered_at))


class _TrainerActor:
    """The actor of the trainer and its controller."""

    @ray.method  # gives `trainer.fit.remote` its types
    def fit(self, spec: TrainSpec, train_on_worker: TrainOnWorker, entered_at: float) -> None:
        from workers.training.group.trainer import fit

        fit(spec, train_on_worker, entered_at)


def _train_on_worker(spec: TrainSpec, entered_at: float) -> None:
    # Only the workers import timm: the driver and Ray Train's controller do not need it.
    from workers.training.loop import train

    train(spec, entered_at)


def _read_summary(spec: TrainSpec) -> TrainSummary | None:
    data = read_bytes_if_there(join_uri(spec.folder_uri, SUMMARY_FILE))
    return None if data is None else TrainSummary.model_validate_json(data)
