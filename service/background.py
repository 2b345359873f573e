"""What a process of the service does again and again until it is told to stop, whatever goes wrong meanwhile."""

import logging
import threading
import time
from collections.abc import Callable

from service.errors import DatabaseUnavailable

_REST = 2.0


def repeat(work: Callable[[], object], what: str, stop: threading.Event, pause_seconds: float) -> None:
    """Calls `work`, named `what` in the log, until `stop` is set, with a pause between the calls: long work rests for
    longer, so that it leaves the machine to others for two thirds of the time.

    A fault that lasts is one line, not one a round; what nobody expected comes with its traceback.
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
