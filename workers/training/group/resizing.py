"""Decides with how many workers a training begins and goes on, if their number is a range. Pure.

Workers are changed only after a checkpoint that all of them have reported, so that a change costs no steps but those
of the second that it takes to end them.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum, auto


class Next(Enum):
    """What to do about the number of workers."""

    GO_ON = auto()
    ASK_FOR_CHECKPOINT = auto()
    RESIZE = auto()


@dataclass
class Resizing:
    """The decisions of one training. Times are seconds of any clock."""

    smallest: int
    largest: int
    check_seconds: float
    """How often to look for room for more workers."""
    _fitted: int = 0
    _looked_at: float = 0.0
    _reported: set[int] | None = None
    """The ranks that have reported since a checkpoint was asked for; None: it was not."""
    _has_checkpoint: bool = field(default=False)

    def begin(self, fits: int) -> int | None:
        """With how many workers to begin; None: not yet. It is asked again and again.

        Ray shows with a delay what workers have released that have just ended, so two looks must see the same room.
        """
        wanted = min(fits, self.largest)
        is_steady, self._fitted = wanted == self._fitted, wanted
        if wanted < self.smallest or not (is_steady or wanted == self.largest):
            return None
        return wanted

    def begun(self, now: float) -> None:
        """Workers have started."""
        self._looked_at, self._fitted = now, 0
        self._forget()

    def saw_reports(self, ranks: Collection[int], has_checkpoint: bool) -> None:
        """These workers have reported to Ray Train, one of them perhaps with a checkpoint."""
        if self._reported is not None:
            self._reported |= set(ranks)
            self._has_checkpoint |= has_checkpoint

    def look(self, workers: int, fits: int, is_leaving: bool, now: float) -> Next:
        """What to do with `workers` workers, if `fits` could be started in their place. `is_leaving`: the node of some
        of them will be taken away; they count among those that do not fit."""
        wanted = self.wanted(fits)
        if wanted is None or (wanted <= workers and not is_leaving):
            self._looked_at = now if self._is_due(now) else self._looked_at
            self._forget()
            return Next.GO_ON
        if self._reported is None:
            if not is_leaving and not self._is_due(now):
                return Next.GO_ON
            self._reported = set()
            return Next.ASK_FOR_CHECKPOINT
        return Next.RESIZE if self._has_checkpoint and len(self._reported) == workers else Next.GO_ON

    def wanted(self, fits: int) -> int | None:
        """How many workers to have; None if there is not even room for the fewest."""
        return min(fits, self.largest) if fits >= self.smallest else None

    def _is_due(self, now: float) -> bool:
        return now - self._looked_at >= self.check_seconds

    def _forget(self) -> None:
        self._reported, self._has_checkpoint = None, False
