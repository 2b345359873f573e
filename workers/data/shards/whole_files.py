"""Files that are a picture each: opened many at a time, and read in pieces of bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

from workers.data.budgets import MOST_IMAGE_BYTES
from workers.data.errors import BrokenImage, ShardReadError
from workers.specs.hygiene import BrokenKind


@dataclass(frozen=True)
class OpenFile:
    """A file whose size is known and not too large; nothing of it is read yet."""

    filesystem: fs.FileSystem
    path: str
    file: pa.NativeFile
    size: int

    def read(self) -> bytes:
        """The whole file, which is closed then. May be called again where it raised OSError."""
        with self.filesystem.open_input_file(self.path) if self.file.closed else self.file as file:
            return bytes(file.read())


def open_whole(filesystem: fs.FileSystem, path: str) -> OpenFile | BrokenImage:
    """The file, or why it is none that can be a picture. Raises OSError, as where it is not there."""
    if (problem := _no_regular_file(filesystem, path)) is not None:
        return BrokenImage(BrokenKind.UNREADABLE, problem)
    file = filesystem.open_input_file(path)
    if (size := file.size()) > MOST_IMAGE_BYTES:
        file.close()
        return too_large()
    return OpenFile(filesystem, path, file, size)


def check_regular(uri: str, filesystem: fs.FileSystem, path: str) -> None:
    """Raises ShardReadError for a pipe, a device or a folder, before a reader of a format opens it."""
    if (problem := _no_regular_file(filesystem, path)) is not None:
        raise ShardReadError(uri, problem)


def too_large() -> BrokenImage:
    """What is said of a file, or of a value, that holds more bytes than any picture."""
    return BrokenImage(BrokenKind.TOO_LARGE, f"more than {MOST_IMAGE_BYTES} bytes")


def size_of(opened: object) -> int:
    """Bytes that reading it will take; 0 for what cannot be read."""
    return opened.size if isinstance(opened, OpenFile) else 0


def close_all(opened: Iterable[object]) -> None:
    """Closes the files among them, read or not."""
    for each in opened:
        if isinstance(each, OpenFile):
            each.file.close()


def pieces_within(sizes: Sequence[int], most: int) -> Iterator[range]:
    """Runs of neighbours whose sizes add up to `most` at most; one that is larger stands alone."""
    start = total = 0
    for place, size in enumerate(sizes):
        if place > start and total + size > most:
            yield range(start, place)
            start, total = place, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))


def _no_regular_file(filesystem: fs.FileSystem, path: str) -> str | None:
    """Why a local path must not be opened: a pipe may give nothing for ever, a device no end."""
    if not isinstance(filesystem, fs.LocalFileSystem):
        return None
    found = filesystem.get_file_info(path).type
    if found == fs.FileType.Directory:
        return "it is a folder"
    return "it is a pipe, a socket or a device" if found == fs.FileType.Unknown else None
