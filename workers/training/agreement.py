"""What the workers of a training do after a step, as all of them agree: go on, take a checkpoint, or pause."""

import time
from collections.abc import Callable
from enum import IntEnum

from workers.training.group.session import TrainSession

_MOST_STEPS_APART = 5
_SECONDS_APART = 2.0
"""A node that is to be taken away may have half a minute, in which a checkpoint must be written, too."""


class AfterStep(IntEnum):
    """What follows a step. If the workers differ, the highest counts: a pause takes a checkpoint, too."""

    GO_ON = 0
    CHECKPOINT = 1
    PAUSE = 2


class Agreement:
    """Asks all workers every few steps, because each time costs a collective operation.

    That is every fifth step, and more often if steps are slow. The slowest worker's clock decides, so that all ask
    after the same steps.
    """

    def __init__(self, session: TrainSession, done: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._asked_after = done
        self._asked_at = clock()
        self._steps_apart = _MOST_STEPS_APART

    def after(self, done: int, wish: Callable[[], AfterStep]) -> AfterStep:
        """What follows after `done` steps. Every worker calls this after each step; `wish` is its own wish."""
        if done % self._steps_apart:
            return AfterStep.GO_ON
        millis_a_step = round(1000 * (self._clock() - self._asked_at) / (done - self._asked_after))
        agreed, slowest_millis = self._session.highest([wish(), millis_a_step])
        self._steps_apart = max(1, min(_MOST_STEPS_APART, int(1000 * _SECONDS_APART / max(1, slowest_millis))))
        self._asked_after, self._asked_at = done, self._clock()
        return AfterStep(agreed)
