"""Keeps the images of a shard that is too large for memory in a temporary file, and reads each when it is asked for."""

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from workers.data.budgets import HELD_BYTES


class SpilledImages(Sequence[bytes]):
    """Images in a temporary file, used like a list. The file has no name, and vanishes with this object."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it is open as long as this is
        self._ends = array("q", [0])

    def extend(self, images: Iterable[bytes]) -> None:
        """Appends the images. Raises OSError, for example if the disk is full."""
        for image in images:
            rest = memoryview(image)
            while len(rest):
                rest = rest[self._file.write(rest) :]
            self._ends.append(self._ends[-1] + len(image))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self._read(each) for each in range(*place.indices(len(self)))]
        return self._read(range(len(self))[place])

    def __iter__(self) -> Iterator[bytes]:
        return map(self._read, range(len(self)))

    def _read(self, place: int) -> bytes:
        start, end = self._ends[place], self._ends[place + 1]
        # Not seek() and read(): forked processes share the position.
        return os.pread(self._file.fileno(), end - start, start)


def gathered(pieces: Iterable[Sequence[bytes]]) -> Sequence[bytes]:
    """The images of all pieces, in a list, or in a file if they have more than HELD_BYTES."""
    held: list[bytes] = []
    spilled: SpilledImages | None = None
    size = 0
    for piece in pieces:
        if spilled is not None:
            spilled.extend(piece)
            continue
        held += piece
        size += sum(map(len, piece))
        if size > HELD_BYTES:
            spilled = SpilledImages()
            spilled.extend(held)
            held = []
    return held if spilled is None else spilled
