"""Places for clients that follow events: so many in all, and so many of one caller."""

import threading
from collections import Counter

from service.errors import TooManyRequests

WAIT_SECONDS = 10.0


class StreamPlaces:
    """Thread-safe."""

    def __init__(self, most: int, most_of_caller: int) -> None:
        self._most = most
        self._most_of_caller = most_of_caller
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, caller: str) -> bool:
        """Takes a place, which is to be given back; False where none is left. Raises TooManyRequests where the caller
        has as many as one may have."""
        with self._lock:
            if self._taken[caller] >= self._most_of_caller:
                raise TooManyRequests(WAIT_SECONDS)
            if self._taken.total() >= self._most:
                return False
            self._taken[caller] += 1
            return True

    def give_back(self, caller: str) -> None:
        """The place that `take` gave."""
        with self._lock:
            self._taken -= Counter([caller])  # whoever has none left is forgotten
