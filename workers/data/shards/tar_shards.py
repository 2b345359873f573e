"""WebDataset tar shards: files that share a key are one sample; its image, and its label in `.cls`."""

import io
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO

from workers.artifact_io import open_filesystem
from workers.data.dataset_roots import check_place
from workers.data.errors import ShardReadError, read_error
from workers.data.left_behind import is_left_behind
from workers.data.names import IMAGE_SUFFIXES, UNREADABLE, readable

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
    """Key and suffix of a member: split at the first dot of the base name, the folder stays in the key."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", suffix


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

    Members of one sample stand side by side, as WebDataset asks. Of several images of a sample the first counts; where
    there is none, each member like KEY.NAME.jpg is a sample of its own, KEY.NAME, and beside one it is something that
    belongs to it, as a mask does. A link is the file that it leads to, or an empty image where that is not in the tar
    file. A name that is not UTF-8 comes as `readable` writes it. Raises tarfile.ReadError for a file that is truncated
    or damaged.
    """
    files = _Files(stream)
    open_sample = _OpenSample("", files, with_images)
    with _members(stream) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
            key, suffix = split_name(member.name)
            if member.isdir() or is_left_behind(member.name):
                continue
            if key != open_sample.key or suffix.lower() in open_sample.suffixes:
                yield from open_sample.finished()
                open_sample = _OpenSample(key, files, with_images)
            open_sample.add(member, suffix)
        yield from open_sample.finished()
        _check_end(stream, tar.offset)


def read_image(stream: IO[bytes], sample: TarSample) -> bytes:
    """The encoded image of a sample that `list_samples` found."""
    return _read(stream, _Place(sample.image_offset, sample.image_size))


@dataclass(frozen=True)
class _Place:
    """Where the bytes of a file are in the tar file."""

    offset: int
    size: int


class _Files:
    """The bytes of members, of those too that are links: GNU tar writes one where a file has several names."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._places: dict[str, _Place] | None = None

    def place(self, member: tarfile.TarInfo) -> _Place:
        if member.isreg():
            return _Place(member.offset_data, member.size)
        # Looked for only once there is a link: the names of a large file take memory, and another walk through it.
        if self._places is None:
            self._places = _places(self._stream)
        folder = posixpath.dirname(member.name) if member.issym() else ""
        return self._places.get(posixpath.normpath(posixpath.join(folder, member.linkname)), _Place(0, 0))

    def read(self, place: _Place) -> bytes:
        return _read(self._stream, place)


class _OpenSample:
    """The members of one key, while the file is walked: each is read when it passes by where that can be known."""

    def __init__(self, key: str, files: _Files, with_images: bool) -> None:
        self.key = key
        self.suffixes: set[str] = set()
        self._files = files
        self._with_images = with_images
        self._image: TarSample | None = None
        self._named_images: dict[str, _Place] = {}
        """By NAME, for KEY.NAME.jpg. Perhaps a whole shard's: they are read one by one in the end."""
        self._labels: dict[str, str | None] = {}
        """By NAME, for KEY.NAME.cls; by "", for KEY.cls."""

    def add(self, member: tarfile.TarInfo, suffix: str) -> None:
        self.suffixes.add(suffix.lower())
        name, _, kind = suffix.rpartition(".")
        if kind.lower() == LABEL_SUFFIX:
            content = self._files.read(self._files.place(member))
            self._labels[name] = readable(content).strip() or None
        elif kind.lower() in IMAGE_SUFFIXES and name:
            self._named_images.setdefault(name, self._files.place(member))
        elif kind.lower() in IMAGE_SUFFIXES and self._image is None:
            self._image = self._sample(self.key, self._files.place(member))

    def finished(self) -> Iterator[TarSample]:
        label = self._labels.get("")
        if self._image is not None:
            yield replace(self._image, label=label)
            return
        for name, place in self._named_images.items():
            yield replace(self._sample(f"{self.key}.{name}", place), label=self._labels.get(name, label))

    def _sample(self, key: str, place: _Place) -> TarSample:
        image = self._files.read(place) if self._with_images else None
        return TarSample(key, place.offset, place.size, label=None, image=image)


def _members(stream: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r:", encoding="utf-8", errors=UNREADABLE)


def _places(stream: IO[bytes]) -> dict[str, _Place]:
    """Every file of the tar file, by its name without dots."""
    stream.seek(0)
    places: dict[str, _Place] = {}
    with _members(stream) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]
            if member.isreg():
                places[posixpath.normpath(member.name)] = _Place(member.offset_data, member.size)
    return places


def _read(stream: IO[bytes], place: _Place) -> bytes:
    stream.seek(place.offset)
    content = stream.read(place.size)
    if len(content) < place.size:
        raise tarfile.ReadError(f"truncated: it breaks off at byte {place.offset + len(content)}")
    return content


def _check_end(stream: IO[bytes], offset: int) -> None:
    # tarfile takes a file that breaks off between or inside two headers for a complete one.
    stream.seek(offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"truncated: it breaks off at byte {offset + len(block)} without an end mark")
    if any(block):
        raise tarfile.ReadError(f"damaged: no valid header at byte {offset}")
