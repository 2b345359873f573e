"""The cluster that a bill is written for, and how many processes of a stage fit on it. No I/O."""

import math

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.measure import ClusterSeen
from workers.specs.stages import ActorPool
from workers.specs.worker_group import WorkerGroup


class SpotDevices(Frozen):
    """Devices that cost less and may be preempted."""

    share: float = Field(gt=0, le=1, description="Share of the devices.")
    price_share: float = Field(default=0.35, ge=0, le=1, description="Price relative to the other devices'.")
    interruptions_per_device_hour: float = Field(
        default=0.05, ge=0, le=60, description="How often a spot device is preempted."
    )


class ClusterShape(Frozen):
    """A cluster of equal devices: GPUs, each with its share of the CPUs, or CPU cores."""

    devices: int = Field(ge=1, le=1_000_000)
    cpus_per_device: float = Field(default=1.0, gt=0, le=1024)
    gpus_per_device: float = Field(default=0.0, ge=0, le=16)
    price_per_device_hour: float | None = Field(default=None, ge=0, le=1e9, description="Price in any currency.")
    spot: SpotDevices | None = None

    def devices_of(self, cpus: float, gpus: float) -> float:
        """Returns how many devices a process that requests this many CPUs and GPUs occupies.

        The number is infinite if the process requests GPUs and the devices have none.
        """
        if gpus and not self.gpus_per_device:
            return math.inf
        return max(cpus / self.cpus_per_device, gpus / self.gpus_per_device if gpus else 0.0)

    def room_for(self, cpus: float, gpus: float) -> int:
        """Returns how many processes that request this many CPUs and GPUs fit on the cluster at once."""
        return int(self.devices / self.devices_of(cpus, gpus) + 1e-9)


def shape_of(seen: ClusterSeen, workers: WorkerGroup, pool: ActorPool) -> ClusterShape:
    """Returns the shape of the measured cluster, with all nodes that an autoscaler's groups may start.

    A device is a GPU if workers or actors have GPUs, or if the run leaves that to a cluster that has some; else it is a
    CPU core.
    """
    cpus = seen.cpus if seen.most_cpus is None else seen.most_cpus
    gpus = seen.gpus if seen.most_gpus is None else seen.most_gpus
    if workers.gpus_on(gpus > 0) or pool.gpus_on(gpus > 0):
        devices = _count(gpus)
        beside = seen.cpus_beside_gpus / seen.gpus if seen.cpus_beside_gpus and seen.gpus else cpus / devices
        return ClusterShape(devices=devices, cpus_per_device=min(1024.0, max(1.0, beside)), gpus_per_device=1.0)
    return ClusterShape(devices=_count(cpus))


def _count(devices: float) -> int:
    return min(1_000_000, max(1, int(devices)))
