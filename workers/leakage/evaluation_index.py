"""Looks images up among evaluation images: those with the same bytes, and those that look alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from workers.leakage.fingerprints import ROW_GROUP_ROWS, read_fingerprints, read_keys
from workers.leakage.hash_index import HashIndex
from workers.specs.hygiene import FingerprintedImages

_GROUPS_OF_KEYS = 4
"""How many row groups of keys are kept. Keys are read where there is a match, which is rare."""


@dataclass(frozen=True)
class NearDuplicate:
    """A row that looks like an evaluation image, and the nearest such image."""

    row: int
    distance: int
    evaluation_dataset: str
    evaluation_key: str


class EvaluationIndex:
    """Looks images up in `sets`, whose fingerprints are prepared. Pictures within `distance` bits look alike.

    It takes about 60 bytes for each evaluation image. If `distance` is 0, only equal bytes are found.
    """

    def __init__(self, sets: Mapping[str, FingerprintedImages], distance: int) -> None:
        self._names = list(sets)
        found = [read_fingerprints(images) for images in sets.values()]
        self._contents = np.unique(np.concatenate([np.empty(0, "S16"), *(one.contents for one in found)]))
        looks = np.concatenate([np.empty(0, np.uint64), *(one.looks for one in found)])
        looks, first = np.unique(looks if distance else looks[:0], return_index=True)
        rows = np.concatenate([np.empty(0, np.int32), *(one.look_rows for one in found)])
        of_set = np.repeat(np.arange(len(found), dtype=np.int16), [len(one.looks) for one in found])
        self._rows, self._set = rows[first], of_set[first]
        self._index = HashIndex(looks, distance)
        self._keys = lru_cache(_GROUPS_OF_KEYS)(lambda of, group: read_keys(sets[self._names[of]], group))

    def equal(self, contents: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bool_]:
        """Which of the content hashes, dtype S16, are an evaluation image's, as a mask."""
        places = np.searchsorted(self._contents, contents)
        inside = places < len(self._contents)
        mask = np.zeros(len(contents), dtype=bool)
        mask[inside] = self._contents[places[inside]] == contents[inside]
        return mask

    def near(self, hashes: Mapping[int, int]) -> list[NearDuplicate]:
        """The rows that look like an evaluation image, in order. `hashes` has the perceptual hash of each row."""
        rows = sorted(hashes)
        places, distances = self.nearest(np.array([hashes[row] for row in rows], dtype=np.uint64))
        return [
            NearDuplicate(row, int(distance), *self.named(int(place)))
            for row, place, distance in zip(rows, places, distances, strict=True)
            if place >= 0
        ]

    def nearest(self, looks: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The place of the nearest evaluation image and its distance in bits for each perceptual hash; -1 if none."""
        return self._index.nearest(looks)

    def named(self, place: int) -> tuple[str, str]:
        """The dataset's id and the key of the evaluation image at a place."""
        of, row = int(self._set[place]), int(self._rows[place])
        return self._names[of], self._keys(of, row // ROW_GROUP_ROWS)[row % ROW_GROUP_ROWS]


def as_contents(hashes: Sequence[bytes]) -> npt.NDArray[np.bytes_]:
    """Content hashes as `EvaluationIndex.equal` wants them, dtype S16."""
    return np.frombuffer(b"".join(hashes), dtype="S16")
