"""A run as its bill sees it: the configuration, the sizes of its data, the cluster, and what was measured. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from service.config.cluster_shape import ClusterShape
from service.config.run import GenerationPlan, RunConfig
from service.stages.generation_plans import generation_plans, measured_students
from workers.specs.measure import Measurement, StudentMeasurement

EFFICIENCY_OF_A_DOUBLING = 0.95
"""Of the speed a worker, when a group has twice the workers that were measured."""


@dataclass(frozen=True)
class DatasetSize:
    rows: int
    shards: int

    @property
    def rows_a_shard(self) -> float:
        return self.rows / max(1, self.shards)

    def grown_to(self, rows: int) -> "DatasetSize":
        """With so many rows, in shards as large as they are."""
        return DatasetSize(rows, max(1, math.ceil(rows / self.rows_a_shard)))


@dataclass(frozen=True)
class JobTimes:
    """What a Ray job costs whatever it does, in seconds."""

    waiting_seconds: float
    """The reconciler has seen that it may start, and submits it."""
    start_seconds: float
    """Until its process runs."""
    finish_seconds: float
    """Until its result is seen."""


@dataclass(frozen=True)
class EstimatedRun:
    """`whole` lets worker group and pool grow to what `shape` has room for."""

    config: RunConfig
    sizes: Mapping[str, DatasetSize]
    """By the part that a dataset plays; external sets are `external.NAME`."""
    measured: Measurement
    job: JobTimes
    shape: ClusterShape
    whole: bool = False

    @cached_property
    def plans(self) -> list[GenerationPlan]:
        return generation_plans(self.config)

    def student(self, generation: int) -> StudentMeasurement:
        """What was measured of the student that the generation trains."""
        return self.measured.students[self._students_of_generations[generation]]

    @cached_property
    def _students_of_generations(self) -> tuple[int, ...]:
        return measured_students(self.plans)[1]

    def actors(self, pieces: int) -> int:
        """Of the pool, for work that is cut into so many pieces."""
        return self._actors(pieces, self.config.resources.label.gpus_per_actor)

    def actors_without_gpus(self, pieces: int) -> int:
        """Of the pool where it only copies (service/stages/spec_builder.py)."""
        return self._actors(pieces, 0.0)

    def _actors(self, pieces: int, gpus_per_actor: float) -> int:
        pool = self.config.resources.label
        room = self.shape.room_for(pool.cpus_per_actor, gpus_per_actor)
        most = room if self.whole or pool.max_actors is None else min(room, pool.max_actors)
        return max(1, min(most, pieces))

    def workers(self, batch_size: int) -> int:
        """Of the group; no more than labeled images in a batch."""
        if not self.whole:
            return self.config.resources.train.num_workers
        return max(1, min(self.workers_that_fit, batch_size))

    @property
    def workers_that_fit(self) -> int:
        group = self.config.resources.train
        return self.shape.room_for(group.cpus_per_worker, group.gpus_per_worker)

    @property
    def devices_an_actor(self) -> float:
        pool = self.config.resources.label
        return self.shape.devices_of(pool.cpus_per_actor, pool.gpus_per_actor)

    @property
    def devices_a_worker(self) -> float:
        group = self.config.resources.train
        return self.shape.devices_of(group.cpus_per_worker, group.gpus_per_worker)

    def slowdown(self, workers: int) -> float:
        """How much longer a group of so many takes than the one that was measured."""
        growth = workers / self.measured.group.workers
        efficiency = EFFICIENCY_OF_A_DOUBLING ** math.log2(growth) if growth > 1 else 1.0
        return 1 / (growth * efficiency)

    def interrupted(self, seconds: float, devices: float, lost_seconds: float) -> float:
        """Working time, where each loss of one of so many spot devices costs so many seconds."""
        spot = self.shape.spot
        if spot is None:
            return seconds
        return seconds * (1 + spot.interruptions_per_device_hour * spot.share * devices * lost_seconds / 3600)

    def cost(self, device_hours: float) -> float | None:
        price, spot = self.shape.price_per_device_hour, self.shape.spot
        if price is None:
            return None
        return device_hours * price * (1 - spot.share * (1 - spot.price_share) if spot else 1.0)
