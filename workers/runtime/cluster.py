"""Connects a stage's driver to the Ray cluster that its job runs on."""

import logging
import os

from workers.data.dataset_roots import ROOTS_VARIABLE
from workers.runtime.internals import INTERNALS_VARIABLE


def join_cluster() -> None:
    """Imports Ray, which takes a second, and connects.

    All processes of the stage learn where datasets may lie, and which internals of libraries they may use.
    """
    import ray

    told = {name: os.environ[name] for name in (ROOTS_VARIABLE, INTERNALS_VARIABLE) if name in os.environ}
    # Without restrictions, as on a laptop, no runtime environment is needed: Ray can then use idle workers.
    runtime_env = {"env_vars": told} if told else None
    ray.init(log_to_driver=True, logging_level=logging.WARNING, runtime_env=runtime_env)
