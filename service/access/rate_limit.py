"""Token buckets: so many requests a second in the long run, so many at once."""

import threading
from dataclasses import dataclass

from cachetools import LRUCache

MAX_BUCKETS = 10_000
"""The callers that are remembered; the one that has been silent longest is forgotten, its bucket being full again."""


@dataclass(frozen=True)
class Bucket:
    """`tokens` at the time `at`, in seconds of a monotonic clock."""

    tokens: float
    at: float


class RateLimit:
    """One bucket a caller, in this process. Thread-safe."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: LRUCache[str, Bucket] = LRUCache(MAX_BUCKETS)
        self._lock = threading.Lock()

    def take(self, caller: str, now: float) -> float:
        """Takes a token: 0.0, or, where there is none, the seconds until there will be."""
        with self._lock:
            tokens = self._tokens(caller, now)
            wait = max(0.0, (1 - tokens) / self._per_second)
            self._buckets[caller] = Bucket(tokens - 1 if wait == 0 else tokens, now)
            return wait

    def wait(self, caller: str, now: float) -> float:
        """The seconds until `take` would succeed; takes nothing."""
        with self._lock:
            return max(0.0, (1 - self._tokens(caller, now)) / self._per_second)

    def _tokens(self, caller: str, now: float) -> float:
        bucket = self._buckets.get(caller, Bucket(self._burst, now))
        return min(self._burst, bucket.tokens + max(0.0, now - bucket.at) * self._per_second)
