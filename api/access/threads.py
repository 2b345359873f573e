"""Threads reserved for authentication and the audit log.

All other threads may be waiting for an artifact store or a Ray head that hangs; callers must still get their 401.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

THREADS = 16
"""More than the pool's database connections: each call holds one for a millisecond or two, and some wait for theirs."""
_LIMITER: RunVar[CapacityLimiter] = RunVar("access_limiter")
Arguments = TypeVarTuple("Arguments")
Answer = TypeVar("Answer")


async def in_access_thread(function: Callable[[*Arguments], Answer], *arguments: *Arguments) -> Answer:
    """Runs the function in a thread that no route can occupy, and returns its result."""
    limiter = _LIMITER.get(None)
    if limiter is None:
        limiter = CapacityLimiter(THREADS)
        _LIMITER.set(limiter)
    return await run_sync(function, *arguments, limiter=limiter)
