"""Whether who began to follow something may go on: keys are revoked, sessions end, tokens expire meanwhile."""

from collections.abc import Callable

LOOK_EVERY_SECONDS = 15.0


class Watch:
    """Of one caller, who was good when it was made. `monotonic` gives seconds that never go back."""

    def __init__(self, is_good: Callable[[], bool], monotonic: Callable[[], float]) -> None:
        self._is_good = is_good
        self._monotonic = monotonic
        self._looked_at = monotonic()

    @property
    def is_due(self) -> bool:
        """Whether nobody has looked for LOOK_EVERY_SECONDS: look before more is told."""
        return self._monotonic() - self._looked_at >= LOOK_EVERY_SECONDS

    def look(self) -> bool:
        """Whether the caller is still good. Raises DatabaseUnavailable; it stays due then."""
        now = self._monotonic()
        good = self._is_good()
        self._looked_at = now
        return good
