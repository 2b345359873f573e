"""The inputs of a bill: a run's configuration, the sizes of its data, the cluster, and the measurement. No I/O."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from service.config.cluster_shape import ClusterShape
from service.config.run import GenerationPlan, RunConfig
from service.stages.generation_plans import generation_plans, measured_students
from workers.specs.measure import Measurement, StudentMeasurement
from workers.specs.worker_group import loaders_of

EFFICIENCY_OF_A_DOUBLING = 0.95
"""The share of its speed that each worker keeps when the worker group doubles."""


@dataclass(frozen=True)
class DatasetSize:
    rows: int
    shards: int

    @property
    def rows_a_shard(self) -> float:
        return self.rows / max(1, self.shards)

    def grown_to(self, rows: int) -> "DatasetSize":
        """Returns the size of a dataset with `rows` rows in shards of the present size."""
        return DatasetSize(rows, max(1, math.ceil(rows / self.rows_a_shard)))


@dataclass(frozen=True)
class JobTimes:
    """The fixed costs of a Ray job, in seconds."""

    waiting_seconds: float
    """Until the reconciler sees that the job may start, and submits it."""
    start_seconds: float
    """From then on until the job's process runs."""
    finish_seconds: float
    """From the end of the work until the reconciler sees the result."""


@dataclass(frozen=True)
class EstimatedRun:
    """A run to write a bill for. With `whole`, its worker group and actor pool grow to what `shape` has room for."""

    config: RunConfig
    sizes: Mapping[str, DatasetSize]
    """The sizes of the datasets by their part in the run; external sets are `external.NAME`, and the pool of generation
    N is `unlabeled.N` if it is not the run's. `reused.N` is what of it the same teacher has labeled before."""
    measured: Measurement
    job: JobTimes
    shape: ClusterShape
    whole: bool = False

    @cached_property
    def plans(self) -> list[GenerationPlan]:
        return generation_plans(self.config)

    def pool(self, generation: int) -> DatasetSize:
        """Returns the size of the unlabeled dataset of the generation."""
        return self.sizes.get(f"unlabeled.{generation}", self.sizes["unlabeled"])

    def to_label(self, generation: int) -> DatasetSize:
        """Returns the size of what the generation labels: its pool, without what its teacher has labeled before."""
        pool, reused = self.pool(generation), self.sizes.get(f"reused.{generation}", DatasetSize(0, 0))
        return DatasetSize(max(0, pool.rows - reused.rows), max(0, pool.shards - reused.shards))

    def student(self, generation: int) -> StudentMeasurement:
        """Returns the measurement of the student that the generation trains."""
        return self.measured.students[self._students_of_generations[generation]]

    @cached_property
    def _students_of_generations(self) -> tuple[int, ...]:
        return measured_students(self.plans)[1]

    @property
    def _has_gpus(self) -> bool:
        return self.shape.gpus_per_device > 0

    @property
    def loaders(self) -> int:
        """The loader processes of each worker."""
        return loaders_of(self.config.resources.train, self._has_gpus)

    def actors(self, pieces: int) -> int:
        """Returns the number of actors in the pool for work that consists of `pieces` pieces."""
        return self._actors(pieces, self.config.resources.label.gpus_on(self._has_gpus))

    def actors_without_gpus(self, pieces: int) -> int:
        """Returns the number of actors for copying, which uses no GPUs (service/stages/spec_builder.py)."""
        return self._actors(pieces, 0.0)

    def _actors(self, pieces: int, gpus_per_actor: float) -> int:
        pool = self.config.resources.label
        room = self.shape.room_for(pool.cpus_per_actor, gpus_per_actor)
        most = room if self.whole or pool.max_actors is None else min(room, pool.max_actors)
        return max(1, min(most, pieces))

    def workers(self, batch_size: int) -> int:
        """Returns the number of workers in the group, at most one per labeled image of a batch."""
        group = self.config.resources.train
        if not self.whole:
            return max(group.min_workers, min(self.workers_that_fit, group.max_workers))
        return max(1, min(self.workers_that_fit, batch_size))

    @property
    def workers_that_fit(self) -> int:
        group = self.config.resources.train
        return self.shape.room_for(group.cpus_per_worker, group.gpus_on(self._has_gpus))

    @property
    def devices_an_actor(self) -> float:
        pool = self.config.resources.label
        return self.shape.devices_of(pool.cpus_per_actor, pool.gpus_on(self._has_gpus))

    @property
    def devices_a_worker(self) -> float:
        group = self.config.resources.train
        return self.shape.devices_of(group.cpus_per_worker, group.gpus_on(self._has_gpus))

    def slowdown(self, workers: int) -> float:
        """Returns how many times as long a group of `workers` takes as the measured group; below 1 if it is faster."""
        growth = workers / self.measured.group.workers
        efficiency = EFFICIENCY_OF_A_DOUBLING ** math.log2(growth) if growth > 1 else 1.0
        return 1 / (growth * efficiency)

    def interrupted(self, seconds: float, devices: float, lost_seconds: float) -> float:
        """Returns `seconds` of work on `devices` devices, plus the time that interruptions of spot devices cost.

        Each interruption costs `lost_seconds`.
        """
        spot = self.shape.spot
        if spot is None:
            return seconds
        return seconds * (1 + spot.interruptions_per_device_hour * spot.share * devices * lost_seconds / 3600)

    def cost(self, device_hours: float) -> float | None:
        price, spot = self.shape.price_per_device_hour, self.shape.spot
        if price is None:
            return None
        return device_hours * price * (1 - spot.share * (1 - spot.price_share) if spot else 1.0)
