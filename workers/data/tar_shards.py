"""WebDataset tar shards: files that share a key are one sample; its image, and its label in `.cls`."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import check_place
from workers.data.errors import ShardReadError, read_error
from workers.data.names import UNREADABLE, readable

IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "png", "webp", "bmp"})
LABEL_SUFFIX = "cls"

# Enough to take several small files, header and data, in one read of a remote store.
_BUFFER_BYTES = 256 << 10


@dataclass(frozen=True)
class TarSample:
    """One row: an image, where its bytes are in the tar file, and its label as text."""

    key: str
    image_offset: int
    image_size: int
    label: str | None
    image: bytes | None = None
    """Only where it was asked for."""


def split_name(name: str) -> tuple[str, str]:
    """Key and lower-case suffix of a member: split at the first dot of the base name, the folder stays in the key."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", suffix.lower()


@contextmanager
def open_tar(uri: str) -> Iterator[IO[bytes]]:
    """The tar file as a buffered stream. Errors inside the `with` block become ShardReadErrors that name the file."""
    check_place(uri)
    try:
        filesystem, path = open_filesystem(uri)
        with filesystem.open_input_file(path) as source:
            yield io.BufferedReader(source, _BUFFER_BYTES)
    except FileNotFoundError as error:
        raise ShardReadError(uri, "there is no such file") from error
    except (OSError, tarfile.TarError) as error:
        raise read_error(uri, "not a readable tar file", error) from error


def list_samples(stream: IO[bytes]) -> list[TarSample]:
    """Every sample, without its image: only headers and labels are read. Raises as `iterate_samples` does."""
    return list(iterate_samples(stream, with_images=False))


def iterate_samples(stream: IO[bytes], with_images: bool) -> Iterator[TarSample]:
    """Every sample with an image, in the order of the file, while it is read.

    Members of one sample stand side by side, as WebDataset asks; of several images of a sample the first counts. A name
    that is not UTF-8 comes as `readable` writes it.
    Raises tarfile.ReadError for a file that is truncated or damaged.
    """
    open_sample = _OpenSample("", with_images)
    with tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors=UNREADABLE) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
            key, suffix = split_name(member.name)
            if not member.isreg() or not key.rpartition("/")[2]:
                continue
            if key != open_sample.key or suffix in open_sample.suffixes:
                yield from open_sample.finished()
                open_sample = _OpenSample(key, with_images)
            open_sample.add(tar, member, suffix)
        yield from open_sample.finished()
        _check_end(stream, tar.offset)


def read_image(stream: IO[bytes], sample: TarSample) -> bytes:
    """The encoded image of a sample that `list_samples` found."""
    stream.seek(sample.image_offset)
    return stream.read(sample.image_size)


class _OpenSample:
    """The members of one key, while the file is walked: each is read when it passes by, never later."""

    def __init__(self, key: str, with_images: bool) -> None:
        self.key = key
        self.suffixes: set[str] = set()
        self._with_images = with_images
        self._image: tarfile.TarInfo | None = None
        self._content: bytes | None = None
        self._label: str | None = None

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, suffix: str) -> None:
        self.suffixes.add(suffix)
        if suffix == LABEL_SUFFIX:
            self._label = readable(_content(tar, member)).strip() or None
        elif suffix in IMAGE_SUFFIXES and self._image is None:
            self._image = member
            self._content = _content(tar, member) if self._with_images else None

    def finished(self) -> list[TarSample]:
        if self._image is None:
            return []
        return [TarSample(self.key, self._image.offset_data, self._image.size, self._label, self._content)]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    reader = tar.extractfile(member)
    return b"" if reader is None else reader.read()


def _check_end(stream: IO[bytes], offset: int) -> None:
    # tarfile takes a file that breaks off between or inside two headers for a complete one.
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"truncated: it breaks off at byte {offset + len(block)} without an end mark")
    if any(block):
        raise tarfile.ReadError(f"damaged: no valid header at byte {offset}")
