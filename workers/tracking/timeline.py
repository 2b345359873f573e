"""Reads the metric rows of a training as one line of steps, over all attempts and lost workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.artifact_io import join_uri, read_bytes_if_there
from workers.specs.reports import MetricRow
from workers.specs.stages import metrics_name


@dataclass(frozen=True)
class Point:
    """The figures after so many steps, and when they were measured (Unix seconds)."""

    step: int
    at: float
    values: Mapping[str, float]


class Timeline:
    """The rows that a training's attempts have logged in its folder, up to attempt `attempt`.

    What an attempt repeats of an earlier one, because it went on from a checkpoint, replaces what that one had logged:
    every step occurs once.
    """

    def __init__(self, folder_uri: str, attempt: int) -> None:
        self._folder_uri = folder_uri
        self._attempt = attempt
        self._earlier: list[Point] | None = None

    def read(self) -> list[Point]:
        """All points so far, in the order of steps."""
        if self._earlier is None:
            self._earlier = []
            for attempt in range(1, self._attempt):
                self._earlier = continued(self._earlier, self._logged(attempt))
        return continued(self._earlier, self._logged(self._attempt))

    def _logged(self, attempt: int) -> list[Point]:
        data = read_bytes_if_there(join_uri(self._folder_uri, metrics_name(attempt))) or b""
        rows = [MetricRow.model_validate_json(line) for line in data.splitlines() if line]
        return [Point(row.step, row.at, row.values) for row in rows]


def continued(earlier: Sequence[Point], later: Sequence[Point]) -> list[Point]:
    """The points of a training that was interrupted, and went on from a step before the first of `later`."""
    if not later:
        return list(earlier)
    return [point for point in earlier if point.step < later[0].step] + list(later)
