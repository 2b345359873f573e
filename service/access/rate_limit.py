"""Token buckets: they limit a caller's requests per second in the long run, and its requests at once."""

import threading
from dataclasses import dataclass

from cachetools import LRUCache

MAX_BUCKETS = 10_000
"""How many callers to remember. The one that has been silent longest is forgotten; its bucket then is full again."""


@dataclass(frozen=True)
class Bucket:
    """The bucket of one caller: it held `tokens` at the time `at`, in seconds of a monotonic clock."""

    tokens: float
    at: float


class RateLimit:
    """One bucket per caller, in this process. Thread-safe. `burst` is the size of a bucket."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: LRUCache[str, Bucket] = LRUCache(MAX_BUCKETS)
        self._lock = threading.Lock()

    def take(self, caller: str, now: float) -> float:
        """Takes a token and returns 0.0, or returns the seconds until there will be one."""
        with self._lock:
            tokens = self._tokens(caller, now)
            wait = max(0.0, (1 - tokens) / self._per_second)
            self._buckets[caller] = Bucket(tokens - 1 if wait == 0 else tokens, now)
            return wait

    def wait(self, caller: str, now: float) -> float:
        """Returns the seconds until `take` would succeed, and takes nothing."""
        with self._lock:
            return max(0.0, (1 - self._tokens(caller, now)) / self._per_second)

    def _tokens(self, caller: str, now: float) -> float:
        bucket = self._buckets.get(caller, Bucket(self._burst, now))
        return min(self._burst, bucket.tokens + max(0.0, now - bucket.at) * self._per_second)
