"""How many GPUs a cluster has, or could have."""

from collections.abc import Sequence

from service.errors import RayUnavailable
from service.ray_client.jobs import RayJobs
from workers.specs.node_labels import KnownGroup


def gpus_of_cluster(jobs: RayJobs, groups: Sequence[KnownGroup]) -> float | None:
    """Returns the GPUs of the present nodes, or those of one node of each group that may start; None if Ray is away."""
    coming = sum(group.gpus for group in groups if group.max_nodes != 0)
    if coming:
        return coming
    try:
        return jobs.gpus()
    except RayUnavailable:
        return None
