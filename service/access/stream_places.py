"""Limits how many clients follow events at once, in total and per caller."""

import threading
from collections import Counter

from service.errors import TooManyRequests

WAIT_SECONDS = 10.0


class StreamPlaces:
    """The places for clients that follow events: `most` in total, `most_of_caller` per caller. Thread-safe."""

    def __init__(self, most: int, most_of_caller: int) -> None:
        self._most = most
        self._most_of_caller = most_of_caller
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, caller: str) -> bool:
        """Takes a place, or returns False if none is left. Return the place with `give_back`.

        Raises TooManyRequests if the caller already has as many places as one caller may have.
        """
        with self._lock:
            if self._taken[caller] >= self._most_of_caller:
                raise TooManyRequests(WAIT_SECONDS)
            if self._taken.total() >= self._most:
                return False
            self._taken[caller] += 1
            return True

    def give_back(self, caller: str) -> None:
        """Returns a place that `take` gave."""
        with self._lock:
            self._taken -= Counter([caller])  # subtraction also removes callers without places
