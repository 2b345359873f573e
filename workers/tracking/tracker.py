"""What every tracker can do: take the figures of a stage or a trial as they come, and its end."""

from collections.abc import Sequence
from typing import Protocol

from workers.tracking.endings import Ending
from workers.tracking.subjects import Subject
from workers.tracking.timeline import Point


class Report(Protocol):
    """The report of one subject. After an error it is opened anew: whatever is told twice counts once."""

    def write(self, points: Sequence[Point]) -> None:
        """Reports what is new. `points` are all of them so far."""
        ...

    def end(self, ending: Ending) -> None:
        """Reports the end. Nothing follows."""
        ...


class Tracker(Protocol):
    """A place that figures are reported to."""

    def open(self, subject: Subject) -> Report:
        """The subject's report, the same one for all attempts."""
        ...
