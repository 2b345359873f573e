"""What a process of the service does again and again until it is told to stop, whatever goes wrong meanwhile."""

import logging
import threading
from collections.abc import Callable

from service.errors import DatabaseUnavailable


def repeat(work: Callable[[], object], what: str, stop: threading.Event, pause_seconds: float) -> None:
    """Calls `work`, named `what` in the log, until `stop` is set, with a pause between the calls.

    A fault that lasts is one line, not one a round; what nobody expected comes with its traceback.
    """
    logger = logging.getLogger("service.reconcile")
    last = ""
    while not stop.is_set():
        try:
            work()
            last = ""
        except Exception as error:
            if str(error) != last:
                expected = isinstance(error, DatabaseUnavailable)
                logger.warning("%s failed, and is tried again: %s", what, error, exc_info=None if expected else error)
            last = str(error)
        stop.wait(pause_seconds)
