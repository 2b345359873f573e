"""Queues work on foreign files: registrations, and pictures. A few run at a time, in threads of their own, so that they
hold up no other route.

A registration may hang (on a bucket that does not resolve, or a mount whose server is gone). A single caller cannot
occupy all places, so others still get their turn.
"""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter, fail_after
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

from service.errors import RegistrationBusy
from service.store.visibility import acting_caller

MOST_WAITING = 64
WAIT_SECONDS = 30.0
_PICTURES_AT_ONCE = 2
_REGISTRATIONS_BUSY = "up to {} datasets of yours are registered at once, and {} of your requests wait: try again later"
_PICTURES_BUSY = "up to {} pictures are made for you at once, and {} of your requests wait: try again later"
_REGISTRATIONS: RunVar["_Line"] = RunVar("registration_line")
_PICTURES: RunVar["_Line"] = RunVar("picture_line")
Arguments = TypeVarTuple("Arguments")
Answer = TypeVar("Answer")


async def in_registration_thread(
    at_once: int, function: Callable[[*Arguments], Answer], *arguments: *Arguments
) -> Answer:
    """Runs the function when its turn comes, and returns its result. Raises RegistrationBusy after WAIT_SECONDS.

    Also raises it, at once, if MOST_WAITING requests of the caller are waiting.
    """
    return await _in_line(_line(_REGISTRATIONS, at_once), _REGISTRATIONS_BUSY, function, *arguments)


async def in_picture_thread(function: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer:
    """Runs a function that makes a picture, in a line of its own. Raises RegistrationBusy as above."""
    return await _in_line(_line(_PICTURES, _PICTURES_AT_ONCE), _PICTURES_BUSY, function, *arguments)


async def _in_line(
    line: "_Line", why_busy: str, function: Callable[[*Arguments], Answer], *arguments: *Arguments
) -> Answer:
    with line.of_caller(acting_caller()) as own:
        waiting = own.statistics().tasks_waiting
        busy = RegistrationBusy(why_busy.format(line.at_once, waiting))
        if waiting >= MOST_WAITING:
            raise busy
        async with AsyncExitStack() as places:
            try:
                with fail_after(WAIT_SECONDS):
                    await places.enter_async_context(own)
                    await places.enter_async_context(line.of_all)
            except TimeoutError:
                raise busy from None
            return await run_sync(function, *arguments, limiter=CapacityLimiter(1))


class _Line:
    """The queue of one event loop."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.of_all = CapacityLimiter(at_once + 1)
        """One place more than a single caller may occupy."""
        self._of_callers: dict[str, tuple[CapacityLimiter, int]] = {}

    @contextmanager
    def of_caller(self, caller: str) -> Iterator[CapacityLimiter]:
        """The places of one caller. They are kept while the caller has a request in progress."""
        places, requests = self._of_callers.get(caller, (CapacityLimiter(self.at_once), 0))
        self._of_callers[caller] = (places, requests + 1)
        try:
            yield places
        finally:
            places, requests = self._of_callers.pop(caller)
            if requests > 1:
                self._of_callers[caller] = (places, requests - 1)


def _line(of: RunVar[_Line], at_once: int) -> _Line:
    line = of.get(None)
    if line is None or line.at_once != at_once:
        line = _Line(at_once)
        of.set(line)
    return line
