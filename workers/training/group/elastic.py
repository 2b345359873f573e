"""The scaling policy of a training whose number of workers is a range, by methods of Ray Train that are not documented.

Ray Train's own policy counts all resources of the live nodes, also those that other stages use, so it would try again
and again to start workers that do not fit. And it ends the workers without a checkpoint when it changes their number.
Importing this module raises ImportError where the installed Ray is not as it was: docs/decisions/0023 and 0032.
"""

import logging
import time
from collections import Counter

import ray
from ray._private.state import available_resources_per_node, state
from ray.train.v2._internal.execution.scaling_policy import NoopDecision, ResizeDecision, ScalingDecision, ScalingPolicy
from ray.train.v2._internal.execution.worker_group import WorkerGroupPollStatus, WorkerGroupState
from ray.train.v2.api.config import ScalingConfig

from workers.runtime.capacity import Node, ResourceDemand, parts_that_fit
from workers.training.group.checkpoint_wish import wish_for_checkpoint
from workers.training.group.resizing import Next, Resizing

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 1.0


class ElasticWorkers(ScalingPolicy):
    """As many workers as there is room for on nodes that stay. The autoscaler is asked for the most."""

    def __init__(self, scaling_config: ScalingConfig) -> None:
        super().__init__(scaling_config)
        self._resizing = Resizing(
            scaling_config.min_workers, scaling_config.max_workers, scaling_config.elastic_resize_monitor_interval_s
        )
        self._group_began_at = 0.0
        self._looked_at = 0.0

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        """Called again at once, until there is a number to begin with."""
        self._ask_the_autoscaler()
        number = self._resizing.begin(self._room(Counter()).total())
        if number is None:
            time.sleep(_LOOK_EVERY_SECONDS)
            return NoopDecision()
        logger.info("training begins with %d worker(s)", number)
        return self._resized(number)

    def make_decision_for_running_worker_group(
        self, worker_group_state: WorkerGroupState, worker_group_status: WorkerGroupPollStatus
    ) -> ScalingDecision:
        """Called at each look at the workers, which is several times a second."""
        self._ask_the_autoscaler()
        now = time.monotonic()
        if worker_group_state.start_time != self._group_began_at:
            self._group_began_at = worker_group_state.start_time
            self._resizing.begun(now)
        reports = {
            rank: status.training_report
            for rank, status in worker_group_status.worker_statuses.items()
            if status.training_report is not None
        }
        self._resizing.saw_reports(reports, any(report.checkpoint is not None for report in reports.values()))
        if now - self._looked_at < _LOOK_EVERY_SECONDS:
            return NoopDecision()
        self._looked_at = now
        return self._looked(worker_group_state, now)

    def _looked(self, group: WorkerGroupState, now: float) -> ScalingDecision:
        own = Counter(worker.metadata.node_id for worker in group.workers)
        room = self._room(own)
        fits, is_leaving = room.total(), any(node not in room for node in own)
        match self._resizing.look(len(group.workers), fits, is_leaving, now):
            case Next.ASK_FOR_CHECKPOINT:
                logger.info("there is room for %d instead of %d worker(s): a checkpoint first", fits, own.total())
                group.workers[0].execute_async(wish_for_checkpoint)
            case Next.RESIZE:
                logger.info("training goes on with %d instead of %d worker(s)", fits, own.total())
                return self._resized(self._resizing.wanted(fits) or own.total())
            case Next.GO_ON:
                pass
        return NoopDecision()

    def _room(self, own: Counter[str]) -> Counter[str]:
        """How many workers each node that stays has room for, with those of `own` that are there."""
        config = self.scaling_config
        needs = config._resources_per_worker_not_none
        labels = config.label_selector if isinstance(config.label_selector, dict) else {}
        demand = ResourceDemand(1, needs.get("CPU", 0.0), needs.get("GPU", 0.0), "worker", labels)
        free, leaving = available_resources_per_node(), state.get_draining_nodes()
        stay = {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving}
        return Counter(
            {
                node_id: own[node_id] + parts_that_fit(demand, [Node(free.get(node_id, {}), node["Labels"])])
                for node_id, node in stay.items()
            }
        )

    def _ask_the_autoscaler(self) -> None:
        self._maybe_send_resource_request()  # type: ignore[no-untyped-call]

    def _get_num_workers_for_resource_request(self) -> int:
        most: int = self.scaling_config.max_workers
        return most

    def _resized(self, number: int) -> ResizeDecision:
        return ResizeDecision(
            num_workers=number, resources_per_worker=self.scaling_config._resources_per_worker_not_none
        )
