"""What one inspection may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InspectorLimits:
    """Of wall-clock time, and of memory that is written to."""

    seconds: float
    memory_bytes: int
