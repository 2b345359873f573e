"""Checks that the cluster given in a plan request has room for the run."""

from service.config.run import EstimateRequest
from service.errors import InvalidRequest


def check_estimate_request(request: EstimateRequest) -> None:
    """Raises InvalidRequest if the given cluster has no room for the run's workers, actors or trials.

    It also raises InvalidRequest if the request gives a number of unlabeled images for a run without students.
    """
    if request.unlabeled_images is not None and not request.run.generations:
        raise InvalidRequest("unlabeled_images", "a run without generations of students labels nothing")
    shape, resources = request.cluster, request.run.resources
    if shape is None:
        return
    group, pool = resources.train, resources.label
    has_gpus = shape.gpus_per_device > 0
    if (group.gpus_per_worker or pool.gpus_per_actor) and not has_gpus:
        raise InvalidRequest("cluster.gpus_per_device", "is 0, and the run's resources ask for GPUs")
    workers = shape.room_for(group.cpus_per_worker, group.gpus_on(has_gpus))
    if workers < group.min_workers:
        raise InvalidRequest(
            "cluster.devices",
            f"have room for {workers} of the {group.min_workers} workers of run.resources.train",
        )
    actors = shape.room_for(pool.cpus_per_actor, pool.gpus_on(has_gpus))
    if actors < pool.min_actors:
        raise InvalidRequest(
            "cluster.devices", f"have room for {actors} of the {pool.min_actors} actors of run.resources.label"
        )
    search = request.run.search
    trials = int(workers / search.workers_per_trial) if search else 1
    if search is not None and not trials:
        raise InvalidRequest(
            "cluster.devices", f"have room for {workers} of the {search.workers_per_trial} workers of a search's trial"
        )
