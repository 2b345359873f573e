"""Runs what reads foreign weights in a process of its own: it needs torch and timm, which a driver does without."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from workers.runtime.spawned_processes import end_with_parent
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason

Given = TypeVar("Given")
_LOOK_SECONDS = 5.0


def in_own_process(work: Callable[[], Given], alive: Callable[[], None]) -> Given:
    """What `work`, which can be pickled, returns. `alive` is called now and then.

    Raises what `work` raises, and StageError(OUT_OF_MEMORY) if its process is killed.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_parent) as pool:
        reading = pool.submit(work)
        while True:
            try:
                return reading.result(timeout=_LOOK_SECONDS)
            except TimeoutError:
                if reading.done():
                    raise
                alive()
            except BrokenProcessPool as error:
                why = "the process that read the weights was killed: the driver's node has too little memory"
                raise StageError(FailureReason.OUT_OF_MEMORY, why) from error
