"""The limits of one inspection of a dataset."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InspectorLimits:
    """Limits on wall-clock time and on the memory that an inspection writes to."""

    seconds: float
    memory_bytes: int
