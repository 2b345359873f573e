"""A file that is written while it is sent."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """A file that is not yet written. `blocks` can be taken once."""

    name: str
    media_type: str
    size: int | None
    """In bytes; None where only the end tells."""
    blocks: Iterator[bytes]
    """It raises ArtifactStoreUnavailable if the store fails meanwhile."""
