"""Walks the members of a tar file, also if it is several tar files in a row, or has files with holes."""

import io
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, cast

from workers.artifact_io import open_filesystem
from workers.data.budgets import MOST_IMAGE_BYTES
from workers.data.dataset_roots import check_place
from workers.data.errors import BrokenImage, ShardReadError, read_error
from workers.data.left_behind import is_left_behind
from workers.data.names import UNREADABLE
from workers.data.shards.whole_files import check_regular
from workers.specs.hygiene import BrokenKind

# Enough to take several small files, header and data, in one read of a remote store.
_BUFFER_BYTES = 256 << 10

_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
}


_MOST_HEADER_BYTES = 1 << 20
"""The largest member that holds a name or attributes. Names have at most 4,096 bytes."""


class UnfitMember(Exception):
    """A member makes the tar file unfit as a dataset. The message says which member, and why."""


@dataclass(frozen=True)
class MemberBytes:
    """Where the bytes of a file lie in the tar file."""

    offset: int
    size: int
    parts: tuple[tuple[int, int], ...] | None = None
    """For a file with holes: the start in the file and the length of each stored part, in the order of the tar file."""


NOWHERE = MemberBytes(0, 0)


@contextmanager
def open_tar(uri: str) -> Iterator[IO[bytes]]:
    """Opens a tar file as a buffered stream. Errors inside the `with` block become ShardReadErrors with its name."""
    check_place(uri)
    try:
        filesystem, path = open_filesystem(uri)
        check_regular(uri, filesystem, path)
        with filesystem.open_input_file(path) as source:
            stream = io.BufferedReader(source, _BUFFER_BYTES)
            _check_beginning(stream)
            yield stream
    except FileNotFoundError as error:
        raise ShardReadError(uri, "there is no such file") from error
    except UnfitMember as error:
        raise ShardReadError(uri, str(error)) from error
    except (OSError, tarfile.TarError) as error:
        raise read_error(uri, "not a readable tar file", error) from error


def walk_members(stream: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Yields every member of the data in the order of the file, without folders and files that programs left behind.

    After an end mark another tar file may follow, as `cat a.tar b.tar` makes it. Raises tarfile.ReadError for a file
    that is truncated or damaged.
    """
    start: int | None = 0
    while start is not None:
        stream.seek(start)
        headers = cast(IO[bytes], _Headers(stream))
        with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors=UNREADABLE) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
                if not member.isdir() and not is_left_behind(member.name):
                    yield member
            start = _next_archive(stream, tar.offset)


class _Headers:
    """The stream from which tarfile reads headers. It refuses members with long names that claim to be huge."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"damaged: a header of {size} bytes")
        return self._stream.read(size)


def read_place(stream: IO[bytes], place: MemberBytes) -> bytes:
    """The bytes of a file, with zeros for holes. Raises BrokenImage for a file that is too large to be a picture."""
    if place.size > MOST_IMAGE_BYTES:
        raise BrokenImage(BrokenKind.TOO_LARGE, f"more than {MOST_IMAGE_BYTES} bytes")
    if place.parts is None:
        return _read(stream, place.offset, place.size)
    content, offset = bytearray(place.size), place.offset
    for start, length in place.parts:
        content[start : start + length] = _read(stream, offset, length)
        offset += length
    return bytes(content[: place.size])


class Files:
    """The places of members, including links: GNU tar writes a link if a file has several names."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._places: dict[str, MemberBytes] | None = None

    def place(self, member: tarfile.TarInfo) -> MemberBytes:
        """The place of a member's bytes; `NOWHERE` for a link to a file that is not in the tar file."""
        if member.isreg():
            return _place(member)
        # Only once a link is found: all names of a large tar file take memory, and another walk through it.
        if self._places is None:
            files = (each for each in walk_members(self._stream) if each.isreg())
            self._places = {posixpath.normpath(each.name): _place(each) for each in files}
        folder = posixpath.dirname(member.name) if member.issym() else ""
        return self._places.get(posixpath.normpath(posixpath.join(folder, member.linkname)), NOWHERE)

    def read(self, place: MemberBytes) -> bytes:
        """The bytes of a file. Raises like `read_place`."""
        return read_place(self._stream, place)

    def head(self, place: MemberBytes, size: int) -> bytes:
        """The first `size` bytes of a file; empty for a file with holes."""
        return _read(self._stream, place.offset, min(size, place.size)) if place.parts is None else b""


def _place(member: tarfile.TarInfo) -> MemberBytes:
    holes: list[tuple[int, int]] | None = member.sparse  # type: ignore[assignment]  # typeshed says bytes
    parts = None if holes is None else tuple(holes)
    return MemberBytes(member.offset_data, member.size, parts)


def _read(stream: IO[bytes], offset: int, size: int) -> bytes:
    stream.seek(offset)
    content = stream.read(size)
    if len(content) < size:
        raise tarfile.ReadError(f"truncated: it breaks off at byte {offset + len(content)}")
    return content


def _check_beginning(stream: IO[bytes]) -> None:
    head = stream.read(8)
    for signature, name in _COMPRESSIONS.items():
        if head.startswith(signature):
            raise UnfitMember(f"it is compressed ({name}), and cannot be read from its middle: unpack it first")


def _next_archive(stream: IO[bytes], offset: int) -> int | None:
    """Where another tar file begins after the end mark at `offset`; None if none does."""
    # tarfile takes a file that breaks off between or inside two headers for a complete one.
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"truncated: it breaks off at byte {offset + len(block)} without an end mark")
    if any(block):
        raise tarfile.ReadError(f"damaged: no valid header at byte {offset}")
    position = offset + len(block)
    while chunk := stream.read(_BUFFER_BYTES):
        zeros = len(chunk) - len(chunk.lstrip(b"\0"))
        if zeros < len(chunk):
            return position + zeros - (position + zeros - offset) % tarfile.BLOCKSIZE
        position += len(chunk)
    return None
