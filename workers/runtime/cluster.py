"""How a stage's driver joins the Ray cluster that its job runs on."""

import logging
import os

from workers.data.dataset_roots import ROOTS_VARIABLE


def join_cluster() -> None:
    """Imports ray, which takes a second, and connects. All processes of the stage learn where datasets may lie."""
    import ray

    roots = os.environ.get(ROOTS_VARIABLE)
    # Without restrictions (on a laptop) no environment is asked for: workers started beforehand can be used.
    runtime_env = None if roots is None else {"env_vars": {ROOTS_VARIABLE: roots}}
    ray.init(log_to_driver=True, logging_level=logging.WARNING, runtime_env=runtime_env)
