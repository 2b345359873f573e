"""Slows down addresses that send many bad credentials, without slowing down valid callers at the same address."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from service.access.rate_limit import RateLimit
from service.errors import TooManyRequests, Unauthenticated

_REMEMBERED = 10_000


class Suspects:
    """The addresses that sent bad credentials. Thread-safe. `monotonic` returns seconds that never go back.

    Bad credentials count towards their address's limit. From an address over its limit, a credential that was valid
    before is checked as usual. All other credentials from all such addresses are checked one at a time, so that they
    use at most one connection to the database.
    """

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float]) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._good: LRUCache[bytes, None] = LRUCache(_REMEMBERED)

    @contextmanager
    def looking_at(self, credential: str, address: str) -> Iterator[None]:
        """Wraps the check of a credential, which raises Unauthenticated for a bad one. Raises TooManyRequests."""
        digest = hashlib.sha256(credential.encode(errors="replace")).digest()
        suspect = f"refused {address}"
        wait = self._limit.wait(suspect, self._monotonic())
        takes_turn = wait > 0 and not self._was_good(digest)
        if takes_turn and not self._turn.acquire(blocking=False):
            raise TooManyRequests(wait)
        try:
            yield
        except Unauthenticated:
            self._forget(digest)
            if (wait := self._limit.take(suspect, self._monotonic())) > 0:
                raise TooManyRequests(wait) from None
            raise
        finally:
            if takes_turn:
                self._turn.release()
        self._remember(digest)

    def _was_good(self, digest: bytes) -> bool:
        with self._lock:
            return digest in self._good

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._good[digest] = None

    def _forget(self, digest: bytes) -> None:
        with self._lock:
            self._good.pop(digest, None)
