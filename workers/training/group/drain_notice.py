"""Watches for the notice that a training worker's node will be taken away, as spot nodes are, with a grace time.

Ray marks such a node as draining. KubeRay's nodes do so themselves: on SIGTERM, `ray start --block` of Ray 2.60 drains
its node for up to RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S with the reason PREEMPTION (ray/_private/node.py). The node's
processes get no signal until it ends. Ray Train's own watcher is an actor that may land on any node, and would keep
that one from being removed: docs/decisions/0032.
"""

import logging
import threading
import time
from collections.abc import Callable

from workers.runtime.internals import library_internals, warn_of_missing
from workers.training.group.checkpoint_wish import wish_for_checkpoint

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECONDS = 1.0


def watch_this_node() -> None:
    """Starts to watch in a thread that ends with the process. One worker of each node does so."""
    if library_internals().ray_drain_notices:
        threading.Thread(target=_watch, daemon=True, name="drain-notice").start()


def _watch() -> None:
    import ray

    node_id = ray.get_runtime_context().get_node_id()
    try:
        from ray._private.state import state

        wait_for_notice(lambda: node_id in state.get_draining_nodes())
    except (ImportError, AttributeError) as error:
        warn_of_missing("Ray's list of draining nodes", str(error))


def wait_for_notice(is_draining: Callable[[], bool], every_seconds: float = _LOOK_EVERY_SECONDS) -> None:
    """Looks until the node is draining, then wishes for a checkpoint. Draining cannot be undone.

    It goes on looking if Ray does not answer, but raises AttributeError if Ray cannot tell at all.
    """
    while not _answer(is_draining):
        time.sleep(every_seconds)
    logger.warning("the node of this worker is to be taken away: taking a checkpoint")
    wish_for_checkpoint()


def _answer(is_draining: Callable[[], bool]) -> bool:
    try:
        return is_draining()
    except AttributeError:
        raise
    except Exception as error:
        logger.info("Ray does not say which nodes are draining: %s", error)
        return False
