"""Reports why a stage's work cannot begin: a node is still to come, others use the cluster, or it never can.

A stage's Ray job runs on silently while its actors and workers wait for resources. So its driver looks at the cluster.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from workers.runtime.capacity import ClusterView, ResourceDemand, Shortage, demand_of, shortage
from workers.runtime.stage_reporter import StageReporter, Superseded
from workers.specs.node_labels import KnownGroup
from workers.specs.reports import Waiting
from workers.specs.stages import AnyStageSpec

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 2.0
_TELL_AGAIN_SECONDS = 10.0
"""How often a stage repeats that it waits. A stage that falls silent is taken for a hung one."""
_TIME_TO_START_SECONDS = 15.0
"""How long processes may take to start once the cluster is large enough, for example because a node has come."""


class Cluster(Protocol):
    """What the watch must know about the cluster."""

    def view(self) -> ClusterView:
        """The live nodes, and the groups of nodes that an autoscaler can start."""
        ...

    def has_begun(self) -> bool:
        """Whether this job has a live actor that holds resources."""
        ...


def watch_for_resources(spec: AnyStageSpec, reporter: StageReporter) -> "ResourceWatch | None":
    """Starts to watch in a thread that ends with the process. Returns None for a stage that needs nothing.

    Call ray.init() first.
    """
    demand = demand_of(spec)
    if demand is None:
        return None
    reporter.gpus_each = demand.gpus
    watch = ResourceWatch(demand, reporter, _RayCluster(spec.nodes.groups))
    threading.Thread(target=watch.run, daemon=True, name="resource-watch").start()
    return watch


class ResourceWatch:
    """Looks at the cluster, and tells the reporter when the stage waits. `clock` returns Unix seconds."""

    def __init__(
        self, demand: ResourceDemand, reporter: StageReporter, cluster: Cluster, clock: Callable[[], float] = time.time
    ) -> None:
        self._demand = demand
        self._reporter = reporter
        self._cluster = cluster
        self._clock = clock
        self._fits_since: float | None = None
        self._told: Waiting | None = None
        self._told_at = 0.0
        self._begun = False
        self._trouble = ""

    def turn_to(self, demand: ResourceDemand) -> None:
        """Watches from now on for what the stage needs next. Its processes have not begun."""
        self._demand, self._begun, self._fits_since = demand, False, None

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
        view = self._cluster.view()
        short = shortage(self._demand, view, begun=True)
        if short is not None:
            # Its resources are gone, or still to come; it begins when there is enough.
            self._begun, self._fits_since = False, None
            return self._since(now, short)
        if self._fits_since is None:
            self._fits_since = now
        if self._begun or self._reporter.works_itself or now - self._fits_since < _TIME_TO_START_SECONDS:
            return None
        self._begun = self._cluster.has_begun()
        short = shortage(self._demand, view, self._begun)
        return None if short is None else self._since(now, short)

    def _since(self, now: float, short: Shortage) -> Waiting:
        told = self._told
        since = told.since if told is not None and told.kind == short.kind else now
        return Waiting(since=since, reason=short.reason, exceeds_cluster=short.exceeds_cluster, kind=short.kind)


class _RayCluster:
    """The cluster that this process is connected to, and the groups of nodes that it is known to have."""

    def __init__(self, groups: Sequence[KnownGroup]) -> None:
        self._groups = groups

    def view(self) -> ClusterView:
        from workers.runtime.node_groups import look_at_cluster

        return look_at_cluster(self._groups)

    def has_begun(self) -> bool:
        import ray
        from ray.util.state import list_actors

        job_id = ray.get_runtime_context().get_job_id()
        actors = list_actors(filters=[("job_id", "=", job_id), ("state", "=", "ALIVE")], detail=True)
        # Helper actors, Ray's and ours, only wait for others and hold no resources.
        return any(sum((actor.required_resources or {}).values()) > 0 for actor in actors)
