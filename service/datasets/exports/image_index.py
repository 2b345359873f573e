"""Finds the images of an export among the files of a place, though the export has the paths of another machine."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from service.datasets.places.location import FoundFile, Location
from service.datasets.places.splits import kind_of_split
from workers.data.names import HEIF_SUFFIXES, IMAGE_SUFFIXES

_LOCAL_FILES = "/data/local-files/?d="
_UPLOADED = re.compile(r"/?(?:data/)?upload/\d+/")
_OWN_PREFIX = re.compile(r"[0-9a-f]{6,12}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""


class ImageIndex:
    """The images of a place by the ends of their paths.

    `by_stem`: the places that are asked for have no suffix. `near` are names that decide between images with the same
    name, such as that of the export itself: instances_train.json means images in a folder for training.
    """

    def __init__(self, location: Location, by_stem: bool = False, near: Sequence[str] = ()) -> None:
        self._by_stem = by_stem
        self._kinds = {kind for name in near if (kind := kind_of_split(name)) is not None}
        self._by_name: dict[str, list[FoundFile]] = defaultdict(list)
        for file in location.files:
            if file.suffix in IMAGE_SUFFIXES | HEIF_SUFFIXES:
                self._by_name[self._key(file.name).rpartition("/")[2]].append(file)

    def __len__(self) -> int:
        return sum(map(len, self._by_name.values()))

    def find(self, place: str) -> FoundFile | None:
        """Returns the image whose path has the longest end in common with `place`.

        Returns None if no image has that name, or several fit equally well.
        """
        for parts in _spellings(place):
            found = self._by_name.get(parts[-1], [])
            common = [(_common_end(parts, self._key(file.name).split("/")), file) for file in found]
            most = max((length for length, _ in common), default=0)
            best = [file for length, file in common if length == most]
            if len(best) > 1 and self._kinds:
                best = [file for file in best if self._kinds & set(map(kind_of_split, file.name.split("/")[:-1]))]
            if len(best) == 1:
                return best[0]
        return None

    def _key(self, name: str) -> str:
        folder, slash, base = name.rpartition("/")
        stem = base.rpartition(".")[0] if self._by_stem else ""
        return f"{folder}{slash}{stem or base}"


def _spellings(place: str) -> Iterable[list[str]]:
    """The parts of a place's path, in the ways in which tools write it."""
    path = place.partition(_LOCAL_FILES)[2] or place
    for spelled in dict.fromkeys((path, unquote(path))):
        parts = [part for part in spelled.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not parts:
            continue
        yield parts
        if _UPLOADED.search(spelled) and (prefix := _OWN_PREFIX.match(parts[-1])) is not None:
            yield [parts[-1][prefix.end() :]]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    length = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right:
            break
        length += 1
    return length
