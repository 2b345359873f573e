"""TorchTrainer with its controller in the process that calls it, by methods of Ray Train that are not documented.

Ray Train starts an actor for its controller; we are in an actor already, and run the same controller here. It starts
another for datasets of Ray Data, of which we have none (`workers.training.input.batches` reads the images), and a
detached one that removes the placement group should the controller die. Each costs two to five seconds of a core:
docs/decisions/0002 and 0023. Importing this module raises ImportError where the installed Ray is not as it was.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2._internal.execution.controller import TrainController

from workers.training.group.elastic import ElasticWorkers

if TYPE_CHECKING:  # with RAY_TRAIN_V2_ENABLED these are what ray.train offers; mypy would take its old ones
    from ray.train.v2.api.result import Result
    from ray.train.v2.torch.torch_trainer import TorchTrainer
else:
    from ray.train import Result
    from ray.train.torch import TorchTrainer

for _owner, _method in (
    (TorchTrainer, "_create_default_callbacks"),
    (TorchTrainer, "_initialize_and_run_controller"),
    (TrainController, "run"),
    (TrainController, "get_result"),
):
    if not hasattr(_owner, _method):
        raise ImportError(f"{_owner.__name__} has no {_method}")


class InProcessTorchTrainer(TorchTrainer):
    """Its placement group is in the job, which Ray cleans up: nothing else removes it."""

    _UNUSED: tuple[type, ...] = (DatasetsCallback, PlacementGroupCleanerCallback)

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, self._UNUSED)]

    def _initialize_and_run_controller(self, **controller_options: Any) -> Result:
        scaling: Any = self.scaling_config  # to mypy it is that of Ray Train's first version
        if scaling.elasticity_enabled:
            controller_options["scaling_policy"] = ElasticWorkers(scaling)
        controller = TrainController(**controller_options)
        asyncio.run(controller.run())
        result: Result = controller.get_result()
        return result


class StoppableTorchTrainer(InProcessTorchTrainer):
    """Its actor may be killed while the job goes on: a placement group lives as long as the job."""

    _UNUSED = (DatasetsCallback,)
