"""Ray Train's TorchTrainer for a train spec."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from workers.artifact_io import ray_storage
from workers.runtime.internals import library_internals, warn_of_missing
from workers.specs.checkpoint import CHECKPOINT_SCORE, CHECKPOINTS_FOLDER
from workers.specs.figures import TRAINING_CHECKPOINTS_KEPT
from workers.specs.stages import TrainSpec
from workers.training.group.process_group import ProcessGroupConfig

if TYPE_CHECKING:  # with RAY_TRAIN_V2_ENABLED these are what ray.train offers; mypy would take its old ones
    from ray.train.v2.api.callback import UserCallback
    from ray.train.v2.api.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.torch.torch_trainer import TorchTrainer
else:
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.torch import TorchTrainer


def fit(
    spec: TrainSpec,
    train_on_worker: Callable[[TrainSpec, float], None],
    entered_at: float,
    callbacks: Sequence[UserCallback] = (),
) -> None:
    """Trains to the end, from the last checkpoint if there is one. Must be called in a Ray actor.

    With `callbacks` it is part of something that may end this actor at any time, as a search stops a trial: the
    workers' placement group is then removed by a process of Ray Train's own.
    """
    trainer = _trainer_class(may_be_killed=bool(callbacks))(
        partial(train_on_worker, spec, entered_at),
        torch_config=ProcessGroupConfig(),
        scaling_config=_scaling(spec),
        run_config=RunConfig(
            name=CHECKPOINTS_FOLDER,
            **ray_storage(spec.folder_uri),
            failure_config=FailureConfig(max_failures=spec.workers.max_failures),
            # With a score Ray Train keeps the best ones, and always the latest: that is the one to go on from.
            checkpoint_config=CheckpointConfig(
                num_to_keep=TRAINING_CHECKPOINTS_KEPT,
                checkpoint_score_attribute=CHECKPOINT_SCORE,
                checkpoint_score_order="max",
            ),
            callbacks=list(callbacks),
        ),
    )
    trainer.fit()


def _trainer_class(may_be_killed: bool) -> type[TorchTrainer]:
    """The lean trainer where it may be used and fits the installed Ray, else Ray Train's own, which starts an actor
    for its controller and two more."""
    if not library_internals().ray_train_controller:
        return TorchTrainer
    try:
        from workers.training.group.lean_trainer import InProcessTorchTrainer, StoppableTorchTrainer
    except ImportError as error:
        warn_of_missing("Ray Train's controller", str(error))
        return TorchTrainer
    return StoppableTorchTrainer if may_be_killed else InProcessTorchTrainer


def _scaling(spec: TrainSpec) -> ScalingConfig:
    group = spec.workers
    least, most = group.min_workers, group.max_workers
    resources = {"CPU": group.cpus_per_worker}
    if group.gpus:
        resources["GPU"] = group.gpus
    return ScalingConfig(
        num_workers=(least, most) if least < most else most,
        elastic_resize_monitor_interval_s=spec.resize_check_seconds,
        use_gpu=group.gpus > 0,
        resources_per_worker=resources,
        label_selector=dict(group.node_labels or {}) or None,
    )
