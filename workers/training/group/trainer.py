"""Ray Train's TorchTrainer for a train spec, with its controller in the process that calls it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from ray.train import CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig, UserCallback
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2._internal.execution.controller import TrainController

from workers.artifact_io import ray_storage
from workers.specs.checkpoint import CHECKPOINT_SCORE, CHECKPOINTS_FOLDER
from workers.specs.figures import TRAINING_CHECKPOINTS_KEPT
from workers.specs.stages import STAGE_SPEC, TrainSpec, WorkerGroup
from workers.training.group.process_group import ProcessGroupConfig


def fit(
    spec_json: str,
    train_on_worker: Callable[[dict[str, Any]], None],
    entered_at: float,
    callbacks: Sequence[UserCallback] = (),
) -> None:
    """Trains to the end, from the last checkpoint if there is one. Must be called in a Ray actor.

    With `callbacks` it is part of something that may end this actor at any time, as a search stops a trial: the
    workers' placement group is then removed by a process of Ray Train's own.
    """
    spec = STAGE_SPEC.validate_json(spec_json)
    assert isinstance(spec, TrainSpec)
    trainer_class = _StoppableTorchTrainer if callbacks else _InProcessTorchTrainer
    trainer = trainer_class(
        train_on_worker,
        train_loop_config={"spec": spec_json, "entered_at": entered_at},
        torch_config=ProcessGroupConfig(),
        scaling_config=_scaling(spec.workers),
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


class _InProcessTorchTrainer(TorchTrainer):
    """TorchTrainer with fewer processes, each of which costs two to five seconds of a core (docs/decisions/0002).

    It starts an actor for its controller; we are in an actor already, and run the same controller here. It starts
    another for datasets of Ray Data, of which we have none (`workers.training.input.batches` reads the images), and a
    detached one that removes the placement group should the controller die: ours is in the job, which Ray cleans up.
    """

    _UNUSED: tuple[type, ...] = (DatasetsCallback, PlacementGroupCleanerCallback)

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, self._UNUSED)]

    def _initialize_and_run_controller(self, **controller_options: Any) -> Result:
        controller = TrainController(**controller_options)
        asyncio.run(controller.run())
        result: Result = controller.get_result()
        return result


class _StoppableTorchTrainer(_InProcessTorchTrainer):
    """Its actor may be killed while the job goes on: a placement group lives as long as the job."""

    _UNUSED = (DatasetsCallback,)


def _scaling(group: WorkerGroup) -> ScalingConfig:
    resources = {"CPU": group.cpus_per_worker}
    if group.gpus_per_worker:
        resources["GPU"] = group.gpus_per_worker
    return ScalingConfig(
        num_workers=group.num_workers, use_gpu=group.gpus_per_worker > 0, resources_per_worker=resources
    )
