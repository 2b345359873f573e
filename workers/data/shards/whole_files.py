"""Opens and reads files that hold one picture each, many at a time, in pieces of bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

from workers.data.budgets import MOST_IMAGE_BYTES
from workers.data.errors import BrokenImage, ShardReadError
from workers.specs.hygiene import BrokenKind


@dataclass(frozen=True)
class OpenFile:
    """An open file whose size is known and not too large. Nothing of it has been read yet."""

    filesystem: fs.FileSystem
    path: str
    file: pa.NativeFile
    size: int

    def read(self) -> bytes:
        """Reads and closes the file. It may be called again if it raised OSError."""
        with self.filesystem.open_input_file(self.path) if self.file.closed else self.file as file:
            return bytes(file.read())


def open_whole(filesystem: fs.FileSystem, path: str) -> OpenFile | BrokenImage:
    """Opens a file, or says why it cannot be a picture. Raises OSError, for example if the file is missing."""
    if (problem := _no_regular_file(filesystem, path)) is not None:
        return BrokenImage(BrokenKind.UNREADABLE, problem)
    file = filesystem.open_input_file(path)
    if (size := file.size()) > MOST_IMAGE_BYTES:
        file.close()
        return too_large()
    return OpenFile(filesystem, path, file, size)


def check_regular(uri: str, filesystem: fs.FileSystem, path: str) -> None:
    """Raises ShardReadError for a pipe, a device or a folder, which no reader may open."""
    if (problem := _no_regular_file(filesystem, path)) is not None:
        raise ShardReadError(uri, problem)


def too_large() -> BrokenImage:
    """The error for a file or a value that is too large to be a picture."""
    return BrokenImage(BrokenKind.TOO_LARGE, f"more than {MOST_IMAGE_BYTES} bytes")


def size_of(opened: object) -> int:
    """How many bytes an opened file has; 0 for one that could not be opened."""
    return opened.size if isinstance(opened, OpenFile) else 0


def close_all(opened: Iterable[object]) -> None:
    """Closes the open files among `opened`."""
    for each in opened:
        if isinstance(each, OpenFile):
            each.file.close()


def pieces_within(sizes: Sequence[int], most: int) -> Iterator[range]:
    """Yields ranges of neighbours whose sizes add up to at most `most`. A larger one is a range of its own."""
    start = total = 0
    for place, size in enumerate(sizes):
        if place > start and total + size > most:
            yield range(start, place)
            start, total = place, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))


def _no_regular_file(filesystem: fs.FileSystem, path: str) -> str | None:
    """Why a local path must not be opened; None if it may be. A pipe may block for ever, a device may never end."""
    if not isinstance(filesystem, fs.LocalFileSystem):
        return None
    found = filesystem.get_file_info(path).type
    if found == fs.FileType.Directory:
        return "it is a folder"
    return "it is a pipe, a socket or a device" if found == fs.FileType.Unknown else None
