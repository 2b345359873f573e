"""Divides labeled images into training, validation and test by class, so that equal images stay together. No I/O."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.config.datasets import DatasetPart, PartName

_ROUNDING = 1e-9


@dataclass(frozen=True)
class StratifiedSplit:
    """The part that each row belongs to, in row order."""

    parts: Sequence[PartName]
    kept_whole: Mapping[str, int]
    """The classes that have too few different images to be divided, with the number of these. All are for training."""


def split_by_class(labels: Sequence[str], groups: Sequence[bytes | None], how: DatasetPart) -> StratifiedSplit:
    """Divides rows by class, in an order that depends only on `how.seed` and on the groups.

    `labels` holds the class of each row. Rows of the same group, such as those of equal images, get the same part; a
    group counts for the class of its first row. Rows without a group, which have no image, are for training. Each part
    gets its share of a class, rounded down, and at least one group of it.
    """
    rows_of: dict[bytes, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        if group is not None:
            rows_of[group].append(row)
    groups_of: dict[str, list[bytes]] = {name: [] for name in labels}
    for group, rows in rows_of.items():
        groups_of[labels[rows[0]]].append(group)

    shares: dict[PartName, float] = {"test": how.test_share, "validation": how.validation_share}
    asked = {part: share for part, share in shares.items() if share}
    parts: list[PartName] = ["train"] * len(labels)
    kept_whole: dict[str, int] = {}
    for name, found in groups_of.items():
        if len(found) <= len(asked):  # one for each part, and one to train on
            kept_whole[name] = len(found)
            continue
        drawn = sorted(found, key=lambda group: _drawn(how.seed, group))
        for group, part in _dealt(drawn, [len(rows_of[group]) for group in drawn], asked).items():
            for row in rows_of[group]:
                parts[row] = part
    return StratifiedSplit(parts, kept_whole)


def _drawn(seed: int, group: bytes) -> bytes:
    return hashlib.blake2b(group, key=seed.to_bytes(4, "big"), digest_size=16).digest()


def _dealt(groups: Sequence[bytes], sizes: Sequence[int], shares: Mapping[PartName, float]) -> Mapping[bytes, PartName]:
    """The groups of one class that are not for training. `sizes` holds the number of images of each group.

    A part takes the first groups that make up its share, counted both in groups and in images. If each group that is
    left has more images than the share, it takes the smallest.
    """
    dealt: dict[bytes, PartName] = {}
    for part, share in shares.items():
        most_groups, most_images = (max(1, int(total * share + _ROUNDING)) for total in (len(groups), sum(sizes)))
        left = [(group, size) for group, size in zip(groups, sizes, strict=True) if group not in dealt]
        taken: list[bytes] = []
        images = 0
        for group, size in left:
            if len(taken) < most_groups and images + size <= most_images:
                taken.append(group)
                images += size
        for group in taken or [min(left, key=lambda each: each[1])[0]]:
            dealt[group] = part
    return dealt
