"""Waits until a run has ended, whatever happens to the API meanwhile."""

import time
from collections.abc import Callable

from noisy_student.connection import Connection
from noisy_student.errors import WaitTimedOut
from noisy_student.steps import Clock, Sleep, Steps, patiently
from service.lifecycle.states import UNFINISHED_RUNS
from service.views.runs import RunView

Progress = Callable[[RunView], None]
"""Is told the run as it is, each time that it was looked at."""


def wait_for_end(
    connection: Connection,
    look: Callable[[], Steps[RunView]],
    progress: Progress | None,
    timeout_seconds: float | None,
    poll_seconds: float,
    clock: Clock = time.monotonic,
) -> Steps[RunView]:
    """The run as it ended: succeeded, failed, cancelled or gated. A paused run is waited for, too. Raises WaitTimedOut,
    and ApiError where the API stays away for longer than the connection's patience."""
    ends_at = None if timeout_seconds is None else clock() + timeout_seconds
    while True:
        run = yield from patiently(connection, look, poll_seconds, clock)
        if progress is not None:
            progress(run)
        if run.state not in UNFINISHED_RUNS:
            return run
        if ends_at is not None and clock() >= ends_at:
            raise WaitTimedOut(f"{run.id} is {run.state} after {timeout_seconds:g} seconds; it goes on")
        yield Sleep(poll_seconds if ends_at is None else min(poll_seconds, max(ends_at - clock(), 0.0)))
