"""Waits until a run has ended or come so far, even if the API restarts meanwhile."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from noisy_student.connection import Connection
from noisy_student.errors import WaitTimedOut
from noisy_student.steps import PASSING, Clock, Sleep, Steps, patiently
from service.lifecycle.states import UNFINISHED_RUNS
from service.views.runs import RunView

Progress = Callable[[RunView], None]
"""Called with the current run at each poll."""
Until = Callable[[RunView], bool]
"""Whether a run has come as far as someone waits for."""


def wait_for_end(
    connection: Connection,
    look: Callable[[], Steps[RunView]],
    progress: Progress | None,
    until: Until | None,
    timeout_seconds: float | None,
    poll_seconds: float,
    clock: Clock = time.monotonic,
) -> Steps[RunView]:
    """Waits until the run is succeeded, failed, cancelled or gated, or until `until` holds, and returns it.

    A paused run has not ended.

    Raises WaitTimedOut after `timeout_seconds`, and ApiError if the API stays away for longer than the connection's
    patience.
    """
    ends_at = math.inf if timeout_seconds is None else clock() + timeout_seconds
    patient = replace(connection, patience_seconds=min(connection.patience_seconds, timeout_seconds or math.inf))
    while True:
        try:
            run = yield from patiently(patient, look, poll_seconds, clock)
        except PASSING as error:
            if clock() >= ends_at:
                raise WaitTimedOut(f"the API is away after {timeout_seconds:g} seconds; the run goes on") from error
            raise
        if progress is not None:
            progress(run)
        if run.state not in UNFINISHED_RUNS or (until is not None and until(run)):
            return run
        left = ends_at - clock()
        if left <= 0:
            raise WaitTimedOut(f"{run.id} is {run.state} after {timeout_seconds:g} seconds; it goes on")
        patient = replace(connection, patience_seconds=min(connection.patience_seconds, left))
        yield Sleep(min(poll_seconds, left))
