"""Runs the train stage: starts a Ray Train worker group and turns its summary into the stage's result."""

import logging
import os
from typing import Any

import ray

from workers.artifact_io import join_uri, open_filesystem, read_bytes_if_there
from workers.specs.stages import STAGE_SPEC, TrainResult, TrainSpec
from workers.stage_reporter import StageReporter
from workers.training.summary import SUMMARY_FILE, TrainSummary

logger = logging.getLogger(__name__)

# Ray Train hands exactly these to its controller and workers as their runtime environment. Processes that were
# warmed up with the same environment are the ones Ray gives to them.
_RAY_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "1",
    "RAY_WARN_BLOCKING_GET_INSIDE_ASYNC": "0",
}
_CHECKPOINTS_KEPT = 2


def run_train(spec: TrainSpec, reporter: StageReporter) -> TrainResult:
    """Trains the model of `spec`; a rerun goes on from the last checkpoint, and a finished one is not repeated."""
    reporter.announce(spec.recipe.steps, "steps")
    summary = _read_summary(spec)
    if summary is None:
        _fit(spec, reporter)
        summary = _read_summary(spec)
    if summary is None:
        raise RuntimeError("Ray Train ended without an error and without a summary")
    reporter.begin_work(summary.work_started_at)
    reporter.end_work(summary.work_ended_at)
    return TrainResult(
        attempt=spec.attempt,
        timing=reporter.timing(),
        model_uri=spec.folder_uri,
        parameters=summary.parameters,
        steps=spec.recipe.steps,
        resumed_from_step=summary.resumed_from_step,
        images_seen=summary.images_seen,
        final_loss=summary.final_loss,
        validation_top1=summary.validation_top1,
        bad_images=summary.bad_images,
    )


def _fit(spec: TrainSpec, reporter: StageReporter) -> None:
    os.environ.update(_RAY_TRAIN_ENVIRONMENT)
    _warm_up(spec.workers.num_workers)
    # Imported after the warm-up has begun: it takes seconds, and the workers import theirs meanwhile.
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    group = spec.workers
    resources = {"CPU": group.cpus_per_worker}
    if group.gpus_per_worker:
        resources["GPU"] = group.gpus_per_worker
    trainer = TorchTrainer(
        _train_on_worker,
        train_loop_config={"spec": spec.model_dump_json(), "entered_at": reporter.timing().entered_at},
        scaling_config=ScalingConfig(
            num_workers=group.num_workers, use_gpu=group.gpus_per_worker > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name="checkpoints",
            storage_path=_storage_path(spec.folder_uri),
            failure_config=FailureConfig(max_failures=group.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=_CHECKPOINTS_KEPT),
        ),
    )
    trainer.fit()


def _train_on_worker(config: dict[str, Any]) -> None:
    # torch and timm are imported in the workers only: the driver and Ray Train's controller do without.
    from workers.training.loop import train

    spec = STAGE_SPEC.validate_json(config["spec"])
    assert isinstance(spec, TrainSpec)
    train(spec, config["entered_at"])


def _warm_up(num_workers: int) -> None:
    """Starts the processes that Ray Train will use, importing what they need, while the driver imports its own.

    The tasks ask for no CPU, so that they never wait for one; on a cluster of many nodes they warm this one only.
    """
    environment = {"env_vars": {key: value for key, value in os.environ.items() if key in _RAY_TRAIN_ENVIRONMENT}}
    import_loop = ray.remote(num_cpus=0, runtime_env=environment)(_import_training_loop)
    import_trainer = ray.remote(num_cpus=0, runtime_env=environment)(_import_trainer)
    for _ in range(num_workers):
        import_loop.remote()
    import_trainer.remote()


def _import_training_loop() -> None:
    import workers.training.loop  # noqa: F401


def _import_trainer() -> None:
    import ray.train.torch  # noqa: F401


def _storage_path(folder_uri: str) -> str:
    """Ray Train takes URIs and absolute local paths."""
    return folder_uri if "://" in folder_uri else open_filesystem(folder_uri)[1]


def _read_summary(spec: TrainSpec) -> TrainSummary | None:
    data = read_bytes_if_there(join_uri(spec.folder_uri, SUMMARY_FILE))
    return None if data is None else TrainSummary.model_validate_json(data)
