"""Decides whether a task is about photographs, where pictures that look alike are the same picture.

Simple drawings, such as digits, look alike by chance. How often is measured on the evaluation images themselves: the
share of them that has a near duplicate among the others. In a set of photographs hardly any has.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from workers.leakage.fingerprints import read_fingerprints
from workers.specs.hygiene import FingerprintedImages

MOST_LOOK_ALIKES = 0.02
"""The largest share of evaluation images with a near duplicate among the others, for the task to be photographs. A
pool of other pictures of the same kind then loses at most about this share by accident. Photographs stay well below:
0.6 % or so of CIFAR-10's test images have a near duplicate in the set (Barz and Denzler 2020, "Do we train on test
data?"), of 500 digits, 5 %."""
_SAMPLED = 1000
_MOST_OTHERS = 1_000_000
"""Bounds the time, to a few seconds."""
_OTHERS_AT_ONCE = 4096
"""Bounds memory: this many times the sample, at 9 bytes a pair."""


def look_alike_share(sets: Iterable[FingerprintedImages], distance: int) -> float | None:
    """The share of sampled evaluation images that look like another one, within `distance` bits.

    Images that are equal byte for byte count as one. It is None if fewer than two images can be compared.
    """
    looks = _distinct_looks(sets)
    if len(looks) < 2:
        return None
    generator = np.random.default_rng(0)
    looks = generator.permutation(looks)[:_MOST_OTHERS]
    sample = looks[:_SAMPLED]
    alike = np.zeros(len(sample), dtype=np.int64)
    for start in range(0, len(looks), _OTHERS_AT_ONCE):
        others = looks[start : start + _OTHERS_AT_ONCE]
        alike += np.count_nonzero(np.bitwise_count(sample[:, None] ^ others[None, :]) <= distance, axis=1)
    return float(np.mean(alike > 1))  # each is like itself


def _distinct_looks(sets: Iterable[FingerprintedImages]) -> npt.NDArray[np.uint64]:
    """The perceptual hashes of the images that differ in their bytes."""
    contents, looks = [np.empty(0, "S16")], [np.empty(0, np.uint64)]
    for images in sets:
        found = read_fingerprints(images)
        # Every image with a perceptual hash has a content hash.
        with_look = np.isin(found.content_rows, found.look_rows, assume_unique=True)
        contents.append(found.contents[with_look])
        looks.append(found.looks)
    _, first = np.unique(np.concatenate(contents), return_index=True)
    return np.concatenate(looks)[first]
