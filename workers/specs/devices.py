"""The devices that a project pays for while an attempt is on the cluster: GPUs, or CPUs if it has no GPU. Pure."""

from enum import StrEnum

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.stages import ActorPool, AnyStageSpec
from workers.specs.worker_group import WorkerGroup


class DeviceKind(StrEnum):
    """What is counted."""

    GPU = "gpu"
    CPU = "cpu"


class Devices(Frozen):
    """How many devices an attempt is charged for."""

    kind: DeviceKind
    count: float = Field(ge=0)


_DRIVER = Devices(kind=DeviceKind.CPU, count=1.0)


def devices_of(spec: AnyStageSpec) -> Devices:
    """The devices that the spec's processes request.

    The driver calls it with the spec that it has completed on the cluster. In a spec that leaves the GPUs open, they
    count as none. A pool counts as its `max_actors` if that is given, else as its `min_actors`, because the cluster
    decides how far it grows. A training whose number of workers is a range counts as its maximum. A search or an
    ablation counts as its `max_parallel` concurrent trainings, or as one.
    """
    match spec.stage:
        case "train":
            return _of_group(spec.workers, spec.workers.max_workers)
        case "measure":
            group, pool = _of_group(spec.workers, spec.workers.max_workers), _of_pool(spec.pool)
            return max(group, pool, key=lambda each: (each.kind is DeviceKind.GPU, each.count))
        case "label" | "evaluate" | "predict":
            return _of_pool(spec.pool)
        case "verify":
            return _DRIVER
        case "select":
            return _DRIVER if spec.settings.materialize is None else _of_pool(spec.pool)
        case "search":
            trials = spec.settings.max_parallel or 1
            return _of_group(spec.base.workers, trials * spec.settings.workers_per_trial)
        case "ablate":
            trainings = spec.settings.max_parallel or 1
            return _of_group(spec.base.workers, trainings * spec.base.workers.workers_a_model_needs)


def _of_group(group: WorkerGroup, workers: int) -> Devices:
    return _devices(workers, group.cpus_per_worker, group.gpus)


def _of_pool(pool: ActorPool) -> Devices:
    return _devices(pool.max_actors or pool.min_actors, pool.cpus_per_actor, pool.gpus)


def _devices(processes: int, cpus: float, gpus: float) -> Devices:
    return Devices(kind=DeviceKind.GPU if gpus else DeviceKind.CPU, count=processes * (gpus or cpus))
