"""Background loops: they repeat a task until they are told to stop, whatever goes wrong in between."""

import logging
import threading
import time
from collections.abc import Callable

from service.errors import DatabaseUnavailable

_REST = 2.0


def repeat(work: Callable[[], object], what: str, stop: threading.Event, pause_seconds: float) -> None:
    """Calls `work`, which the log names `what`, until `stop` is set, with a pause of at least `pause_seconds`.

    After long work the pause is twice as long as the work, so that the loop leaves the machine to others for two thirds
    of the time. A lasting fault is logged once, not in every round; an unexpected one with its traceback.
    """
    logger = logging.getLogger("service.reconcile")
    last = ""
    while not stop.is_set():
        began_at = time.monotonic()
        try:
            work()
            last = ""
        except Exception as error:
            if str(error) != last:
                expected = isinstance(error, DatabaseUnavailable)
                logger.warning("%s failed, and is tried again: %s", what, error, exc_info=None if expected else error)
            last = str(error)
        stop.wait(max(pause_seconds, _REST * (time.monotonic() - began_at)))
