"""Reads WebDataset tar shards (https://github.com/webdataset/webdataset): files that share a key are one sample.

A sample has an image, and its label in a `.cls` or `.json` file.
"""

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from workers.data.budgets import MOST_LABEL_BYTES
from workers.data.errors import BrokenImage
from workers.data.images.picture_signatures import SIGNATURE_BYTES, is_picture
from workers.data.label_values import UnfitValue, label_in_json
from workers.data.names import IMAGE_SUFFIXES, readable
from workers.data.other_suffixes import OTHER_SUFFIXES
from workers.data.plain_values import shown
from workers.data.shards.tar_members import NOWHERE, Files, MemberBytes, UnfitMember, open_tar, read_place, walk_members

__all__ = ["TarSample", "Walk", "iterate_samples", "list_samples", "open_tar", "read_image", "split_name"]

LABEL_SUFFIX = "cls"
_TOO_LONG = b"\0"
_LABEL_SUFFIXES = frozenset({LABEL_SUFFIX, "json"})


@dataclass(frozen=True)
class TarSample:
    """One row: the place of its image in the tar file, and its label as text."""

    key: str
    place: MemberBytes
    label: str | None
    image: bytes | None = None
    """None unless images were asked for."""
    broken: BrokenImage | None = None
    """Why the image could not be read, if images were asked for."""

    @property
    def image_size(self) -> int:
        return self.place.size


@dataclass
class Walk:
    """What to read from a tar file, and what was found besides samples."""

    with_images: bool = False
    with_labels: bool = True
    without_image: Counter[str] = field(default_factory=Counter)
    """How many samples have no readable image, by the suffix of one of their members."""


def split_name(name: str) -> tuple[str, str]:
    """The key and the suffix of a member. The base name is split at its first dot; the folder stays in the key."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", suffix


def list_samples(stream: IO[bytes], walk: Walk | None = None) -> list[TarSample]:
    """Every sample without its image: only headers and labels are read. Raises like `iterate_samples`."""
    return list(iterate_samples(stream, walk or Walk()))


def iterate_samples(stream: IO[bytes], walk: Walk) -> Iterator[TarSample]:
    """Yields every sample with an image in the order of the file, while the file is read.

    The members of a sample must be neighbours, as WebDataset asks. If a sample has several images, the first counts. If
    it has none, each member like KEY.NAME.jpg is a sample of its own, KEY.NAME; otherwise such a member belongs to the
    sample, like a mask, and is ignored. A member whose suffix tells nothing is an image if it begins like one. A link
    stands for the file that it leads to, or for an empty image if that file is missing. A name that is not UTF-8 is
    written as by `readable`. Raises tarfile.ReadError for a file that is truncated or damaged, and UnfitMember for a
    label that cannot be one.
    """
    files = Files(stream)
    open_sample = _OpenSample("", files, walk)
    for member in walk_members(stream):
        key, suffix = split_name(member.name)
        if key != open_sample.key or suffix.lower() in open_sample.suffixes:
            yield from open_sample.finished()
            open_sample = _OpenSample(key, files, walk)
        open_sample.add(member, suffix)
    yield from open_sample.finished()


def read_image(stream: IO[bytes], sample: TarSample) -> bytes:
    """The encoded image of a sample that `list_samples` has found. Raises BrokenImage if it is too large."""
    return read_place(stream, sample.place)


class _OpenSample:
    """The members of one key, collected while the file is walked. A member is read at once if it is surely needed."""

    def __init__(self, key: str, files: Files, walk: Walk) -> None:
        self.key = key
        self.suffixes: set[str] = set()
        self._files = files
        self._walk = walk
        self._image: TarSample | None = None
        self._named_images: dict[str, MemberBytes] = {}
        """By NAME, for KEY.NAME.jpg. They may be those of a whole shard, so they are read one by one at the end."""
        self._labels: dict[str, dict[str, bytes]] = {}
        """By NAME and suffix, for KEY.NAME.cls. The NAME of KEY.cls is empty."""

    def add(self, member: tarfile.TarInfo, suffix: str) -> None:
        self.suffixes.add(suffix.lower())
        name, _, kind = suffix.rpartition(".")
        kind = kind.lower()
        if kind in _LABEL_SUFFIXES:
            if self._walk.with_labels:
                self._labels.setdefault(name, {})[kind] = self._label(member, kind)
        elif kind in IMAGE_SUFFIXES and not name:
            self._image = self._image or self._sample(self.key, self._files.place(member))
        elif kind in IMAGE_SUFFIXES:
            self._named_images.setdefault(name, self._files.place(member))
        elif kind not in OTHER_SUFFIXES and self._is_picture(place := self._files.place(member)):
            if suffix:
                self._named_images.setdefault(suffix, place)
            else:
                self._image = self._image or self._sample(self.key, place)

    def finished(self) -> Iterator[TarSample]:
        if self._image is not None:
            yield replace(self._image, label=self._label_of(""))
            return
        for name, place in self._named_images.items():
            yield replace(self._sample(f"{self.key}.{name}", place), label=self._label_of(name) or self._label_of(""))
        if self.suffixes and not self._named_images:
            self._walk.without_image[min(self.suffixes - _LABEL_SUFFIXES or self.suffixes)] += 1

    def _sample(self, key: str, place: MemberBytes) -> TarSample:
        sample = TarSample(key, place, label=None)
        if not self._walk.with_images:
            return sample
        try:
            return replace(sample, image=self._files.read(place))
        except BrokenImage as error:
            return replace(sample, image=b"", broken=error)

    def _is_picture(self, place: MemberBytes) -> bool:
        return place != NOWHERE and is_picture(self._files.head(place, SIGNATURE_BYTES))

    def _label(self, member: tarfile.TarInfo, kind: str) -> bytes:
        place = self._files.place(member)
        if place.size > MOST_LABEL_BYTES:
            if kind != LABEL_SUFFIX:
                return _TOO_LONG  # most of it is about other things than the label
            raise UnfitMember(f"{shown(member.name)}: a label of more than {MOST_LABEL_BYTES} bytes")
        return self._files.read(place)

    def _label_of(self, name: str) -> str | None:
        found = self._labels.get(name, {})
        label = readable(found.get(LABEL_SUFFIX, b"").removeprefix(b"\xef\xbb\xbf")).strip()
        if label or "json" not in found:
            return label or None
        if found["json"] is _TOO_LONG:
            raise UnfitMember(f"{shown(self.key)} has no .cls, and a .json of more than {MOST_LABEL_BYTES} bytes")
        try:
            return label_in_json(found["json"])
        except UnfitValue as error:
            raise UnfitMember(f"the label of {shown(self.key)} in its .json is {error}") from error
