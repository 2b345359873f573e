"""How a stage's driver joins the Ray cluster that its job runs on."""

import logging


def join_cluster() -> None:
    """Imports ray, which takes a second, and connects."""
    import ray

    ray.init(log_to_driver=True, logging_level=logging.WARNING)
