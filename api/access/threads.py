"""Threads that are kept for finding out who asks, and for putting it on record.

The others may all wait for an artifact store or a Ray head that hangs; callers must still be told who they are not.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

THREADS = 16
"""About as many as there are connections to the database: each of these calls holds one, for a millisecond or two."""
_LIMITER: RunVar[CapacityLimiter] = RunVar("access_limiter")
Arguments = TypeVarTuple("Arguments")
Answer = TypeVar("Answer")


async def in_access_thread(function: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer:
    """The function's answer, out of a thread that no route can take."""
    limiter = _LIMITER.get(None)
    if limiter is None:
        limiter = CapacityLimiter(THREADS)
        _LIMITER.set(limiter)
    return await run_sync(function, *arguments, limiter=limiter)
