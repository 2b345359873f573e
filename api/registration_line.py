"""The line of those who register a dataset: a few are served at once, in threads that no other route needs.

What a registration waits for (a bucket that does not resolve, a mount whose server is gone) holds up registrations.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter, fail_after
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

from service.errors import RegistrationBusy

MOST_WAITING = 64
WAIT_SECONDS = 30.0
_BUSY = "{} datasets are being registered, and {} requests wait: try again later"
_LIMITER: RunVar[CapacityLimiter] = RunVar("registration_limiter")
Arguments = TypeVarTuple("Arguments")
Answer = TypeVar("Answer")


async def in_registration_thread(
    at_once: int, function: Callable[[*Arguments], Answer], *arguments: *Arguments
) -> Answer:
    """The function's answer, when its turn has come. Raises RegistrationBusy where that does not come soon."""
    line = _line(at_once)
    waiting = line.statistics().tasks_waiting
    busy = RegistrationBusy(_BUSY.format(at_once, waiting))
    if waiting >= MOST_WAITING:
        raise busy
    try:
        with fail_after(WAIT_SECONDS):
            await line.acquire()
    except TimeoutError:
        raise busy from None
    try:
        return await run_sync(function, *arguments, limiter=CapacityLimiter(1))
    finally:
        line.release()


def _line(at_once: int) -> CapacityLimiter:
    line = _LIMITER.get(None)
    if line is None or line.total_tokens != at_once:
        line = CapacityLimiter(at_once)
        _LIMITER.set(line)
    return line
