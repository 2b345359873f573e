"""Connects a stage's driver to the Ray cluster that its job runs on, and decides there what the spec leaves open."""

import logging
import os

from workers.data.dataset_roots import ROOTS_VARIABLE
from workers.runtime.internals import INTERNALS_VARIABLE
from workers.runtime.placement import Spec, settled


def join_cluster() -> None:
    """Imports Ray, which takes a second, and connects.

    All processes of the stage learn where datasets may lie, and which internals of libraries they may use.
    """
    import ray

    told = {name: os.environ[name] for name in (ROOTS_VARIABLE, INTERNALS_VARIABLE) if name in os.environ}
    # Without restrictions, as on a laptop, no runtime environment is needed: Ray can then use idle workers.
    runtime_env = {"env_vars": told} if told else None
    ray.init(log_to_driver=True, logging_level=logging.WARNING, runtime_env=runtime_env)


def settled_on_cluster(spec: Spec) -> Spec:
    """The spec with everything decided that it leaves to the cluster. Call `join_cluster` first."""
    from workers.runtime.node_groups import look_at_cluster

    return settled(spec, look_at_cluster())
