"""Runs the train stage: starts a Ray Train worker group and turns its summary into the stage's result."""

from collections.abc import Callable
from typing import Any

import ray

from workers.artifact_io import join_uri, read_bytes_if_there
from workers.runtime.stage_reporter import Paused, StageReporter
from workers.specs.results import TrainResult
from workers.specs.stages import STAGE_SPEC, TrainSpec
from workers.training.image_check import check_images
from workers.training.summary import SUMMARY_FILE, TrainSummary

_RAY_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    # A report waits until the controller has seen the one before: by default it looks every two seconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # A process that warns the loop of a preemption: the loop goes on from its last checkpoint, warned or not.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


def run_train(spec: TrainSpec, reporter: StageReporter) -> TrainResult:
    """Trains the model of `spec`; a rerun goes on from the last checkpoint, and a finished one is not repeated.

    Raises StageError(BAD_DATA) where more labeled or validation images are broken than max_bad_fraction allows.
    """
    reporter.announce(spec.recipe.total_steps, "steps")
    broken = check_images(spec, reporter.still_alive)
    summary = _read_summary(spec)
    if summary is None:
        fit_in_actor(spec, _train_on_worker, reporter.timing().entered_at)
        summary = _read_summary(spec)
    if summary is None:
        if reporter.pause_requested():
            raise Paused("paused at a checkpoint")
        raise RuntimeError("Ray Train ended without an error and without a summary")
    reporter.begin_work(summary.work_started_at)
    reporter.end_work(summary.work_ended_at)
    return TrainResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        model_uri=spec.folder_uri,
        parameters=summary.parameters,
        steps=spec.recipe.total_steps,
        resumed_from_step=summary.resumed_from_step,
        images_seen=summary.images_seen,
        final_loss=summary.final_loss,
        validation_top1=summary.validation_top1,
        bad_images=broken,
        train_image_size=spec.recipe.image_size,
        test_image_size=spec.recipe.test_image_size,
    )


def fit_in_actor(spec: TrainSpec, train_on_worker: Callable[[dict[str, Any]], None], entered_at: float) -> None:
    """Runs the trainer in an actor, which is its controller too: the driver needs neither torch nor ray.train.

    `train_on_worker` is called in each worker of the group that `spec` asks for. ray.init() has been called.
    """
    environment = {"env_vars": _RAY_TRAIN_ENVIRONMENT}
    trainer = ray.remote(num_cpus=0, max_restarts=0, runtime_env=environment)(_TrainerActor).remote()
    ray.get(trainer.fit.remote(spec.model_dump_json(), train_on_worker, entered_at))


class _TrainerActor:
    """Holds the trainer and its controller, so that the driver needs neither torch nor ray.train."""

    def fit(self, spec_json: str, train_on_worker: Callable[[dict[str, Any]], None], entered_at: float) -> None:
        from workers.training.group.trainer import fit

        fit(spec_json, train_on_worker, entered_at)


def _train_on_worker(config: dict[str, Any]) -> None:
    # timm is imported in the workers only: the driver and Ray Train's controller do without.
    from workers.training.loop import train

    spec = STAGE_SPEC.validate_json(config["spec"])
    assert isinstance(spec, TrainSpec)
    train(spec, config["entered_at"])


def _read_summary(spec: TrainSpec) -> TrainSummary | None:
    data = read_bytes_if_there(join_uri(spec.folder_uri, SUMMARY_FILE))
    return None if data is None else TrainSummary.model_validate_json(data)
