"""Reports why a stage's work cannot begin: the cluster has too few resources, or others use them.

A stage's Ray job runs on silently while its actors and workers wait for resources. So its driver looks at the cluster.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.runtime.stage_reporter import StageReporter, Superseded
from workers.specs.reports import Waiting
from workers.specs.stages import ActorPool, AnyStageSpec, WorkerGroup

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 2.0
_TELL_AGAIN_SECONDS = 10.0
"""How often a stage repeats that it waits. A stage that falls silent is taken for a hung one."""
_TIME_TO_START_SECONDS = 15.0
"""How long processes may take to start on an idle cluster."""


@dataclass(frozen=True)
class ResourceDemand:
    """The least that a stage needs at once: `parts` equal parts, each of them on one node."""

    parts: int
    cpus: float
    gpus: float
    name: str


class Cluster(Protocol):
    """What the watch must know about the cluster."""

    def nodes(self) -> Sequence[Mapping[str, float]]:
        """The resources of each live node, whether they are in use or not."""
        ...

    def has_begun(self) -> bool:
        """Whether this job has a live actor that holds resources."""
        ...


def demand_of(spec: AnyStageSpec) -> ResourceDemand | None:
    """What a stage needs at once; None if it asks for nothing."""
    match spec.stage:
        case "train" | "measure":
            return _of_group(spec.workers, spec.workers.num_workers)
        case "search":
            return _of_group(spec.base.workers, spec.settings.workers_per_trial)
        case "ablate":
            return _of_group(spec.base.workers, 1)
        case "label" | "evaluate":
            return _of_pool(spec.pool)
    return None


def shortfall(demand: ResourceDemand, nodes: Sequence[Mapping[str, float]]) -> str | None:
    """What the cluster would lack even if it were idle, as a text for people; None if the demand fits."""
    needs = {"CPU": demand.cpus, "GPU": demand.gpus}
    fitting = sum(
        int(min(node.get(name, 0.0) / needed for name, needed in needs.items() if needed) + 1e-9) for node in nodes
    )
    if fitting >= demand.parts:
        return None
    totals = {name: sum(node.get(name, 0.0) for node in nodes) for name in needs}
    on = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return f"{_needs(demand)}; the cluster has {totals['CPU']:g} CPU and {totals['GPU']:g} GPU on {on}"


def watch_for_resources(spec: AnyStageSpec, reporter: StageReporter) -> None:
    """Starts to watch in a thread that ends with the process. Call ray.init() first."""
    demand = demand_of(spec)
    if demand is not None:
        watch = ResourceWatch(demand, reporter, _RayCluster())
        threading.Thread(target=watch.run, daemon=True, name="resource-watch").start()


class ResourceWatch:
    """Looks at the cluster, and tells the reporter when the stage waits. `clock` returns Unix seconds."""

    def __init__(
        self, demand: ResourceDemand, reporter: StageReporter, cluster: Cluster, clock: Callable[[], float] = time.time
    ) -> None:
        self._demand = demand
        self._reporter = reporter
        self._cluster = cluster
        self._clock = clock
        self._entered_at = clock()
        self._told: Waiting | None = None
        self._told_at = 0.0
        self._begun = False
        self._trouble = ""

    def run(self) -> None:
        """Looks until the process ends."""
        while True:
            try:
                self.look()
            except Superseded as superseded:
                # The driver waits for resources that may never come, and nobody else would stop it.
                logger.warning("stopping: %s", superseded)
                logging.shutdown()
                os._exit(2)
            except Exception as error:
                # Ray or the artifact store may be away for a while. The same trouble is logged once.
                if str(error) != self._trouble:
                    logger.warning("the cluster's resources could not be looked at: %s", error)
                self._trouble = str(error)
            time.sleep(_LOOK_EVERY_SECONDS)

    def look(self) -> None:
        """Looks once, and reports if the stage waits, still waits, or waits no longer."""
        now = self._clock()
        waiting = self._waiting(now)
        if waiting is None and self._told is None:
            return
        is_told = waiting == self._told == self._reporter.waiting
        if not is_told or now - self._told_at >= _TELL_AGAIN_SECONDS:
            self._reporter.wait_for(waiting)
            self._told, self._told_at = waiting, now

    def _waiting(self, now: float) -> Waiting | None:
        short = shortfall(self._demand, self._cluster.nodes())
        if short is not None:
            return self._since(now, f"waiting for resources: {short}", exceeds_cluster=True)
        if self._begun or self._reporter.works_itself or now - self._entered_at < _TIME_TO_START_SECONDS:
            return None
        self._begun = self._cluster.has_begun()
        if self._begun:
            return None
        reason = f"waiting for resources: {_needs(self._demand)}; the cluster has them, others use them"
        return self._since(now, reason, exceeds_cluster=False)

    def _since(self, now: float, reason: str, exceeds_cluster: bool) -> Waiting:
        told = self._told
        since = told.since if told is not None and told.exceeds_cluster == exceeds_cluster else now
        return Waiting(since=since, reason=reason, exceeds_cluster=exceeds_cluster)


class _RayCluster:
    """The cluster that this process is connected to."""

    def nodes(self) -> Sequence[Mapping[str, float]]:
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def has_begun(self) -> bool:
        import ray
        from ray.util.state import list_actors

        job_id = ray.get_runtime_context().get_job_id()
        actors = list_actors(filters=[("job_id", "=", job_id), ("state", "=", "ALIVE")], detail=True)
        # Helper actors, Ray's and ours, only wait for others and hold no resources.
        return any(sum((actor.required_resources or {}).values()) > 0 for actor in actors)


def _of_group(group: WorkerGroup, workers: int) -> ResourceDemand:
    return ResourceDemand(workers, group.cpus_per_worker, group.gpus_per_worker, "worker")


def _of_pool(pool: ActorPool) -> ResourceDemand:
    # A pool can work with one actor, however many it asks for.
    return ResourceDemand(1, pool.cpus_per_actor, pool.gpus_per_actor, "actor")


def _needs(demand: ResourceDemand) -> str:
    parts = f"{demand.parts} {demand.name}{'' if demand.parts == 1 else 's'}"
    gpus = f" and {demand.gpus:g} GPU" if demand.gpus else ""
    each = " each" if demand.parts > 1 else ""
    return f"needs {parts} of {demand.cpus:g} CPU{gpus}{each}"
