"""How a stage's driver joins the Ray cluster that its job runs on."""

import logging
import os

from workers.data.dataset_roots import ROOTS_VARIABLE

_INHERITED = (ROOTS_VARIABLE,)
"""What every process of the job needs of its driver's environment."""


def join_cluster() -> None:
    """Imports ray, which takes a second, and connects. The job's processes get the dataset roots of this one."""
    import ray

    # Without restrictions (on a laptop) no environment is asked for: workers that were started beforehand can be used.
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    runtime_env = {"env_vars": environment} if environment else None
    ray.init(log_to_driver=True, logging_level=logging.WARNING, runtime_env=runtime_env)
