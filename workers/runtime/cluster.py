"""Connects a stage's driver to the Ray cluster that its job runs on, and decides there what the spec leaves open."""

import logging
import os
from typing import Any

from workers.data.dataset_roots import ROOTS_VARIABLE
from workers.runtime.internals import INTERNALS_VARIABLE
from workers.runtime.placement import Spec, settled
from workers.telemetry.stage_processes import LOGS_VARIABLE, RAY_WORKER_HOOK, StageLogs, logs_of_environment

_TOLD = (ROOTS_VARIABLE, INTERNALS_VARIABLE, LOGS_VARIABLE)


def join_cluster() -> None:
    """Imports Ray, which takes a second, and connects.

    All processes of the stage learn where datasets may lie, which internals of libraries they may use, and how to log.
    """
    logs = logs_of_environment()
    told = {name: os.environ[name] for name in _TOLD if name in os.environ}
    # Without restrictions, as on a laptop, no runtime environment is needed: Ray can then use idle workers.
    runtime_env: dict[str, Any] | None = {"env_vars": told} if told else None
    if logs is None:
        import ray

        ray.init(log_to_driver=True, logging_level=logging.WARNING, runtime_env=runtime_env)
    else:
        _join_with_json_logs(logs, {**(runtime_env or {}), "worker_process_setup_hook": RAY_WORKER_HOOK})


def _join_with_json_logs(logs: StageLogs, runtime_env: dict[str, Any]) -> None:
    """Connects so that the lines of workers reach the driver's log as they are: one JSON object each."""
    os.environ["RAY_DEDUP_LOGS"] = "0"  # Ray would append to a line how often it came
    import ray

    # With a logging_config Ray puts no name in front of a worker's lines.
    lines = ray.LoggingConfig(encoding="JSON", log_level="INFO", additional_log_standard_attrs=["name"])
    ray.init(log_to_driver=True, logging_level=logging.WARNING, runtime_env=runtime_env, logging_config=lines)
    logs.configure_driver()  # Ray has added a handler of its own
    logging.getLogger("ray").setLevel(logging.WARNING)


def settled_on_cluster(spec: Spec) -> Spec:
    """The spec with everything decided that it leaves to the cluster. Call `join_cluster` first."""
    from workers.runtime.node_groups import look_at_cluster

    return settled(spec, look_at_cluster(spec.nodes.groups))
