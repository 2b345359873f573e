"""Decodes a spread sample of the images to check that they are images, and computes the content hashes of all."""

import random
from collections import Counter
from dataclasses import dataclass
from statistics import median_low

from service.datasets.formats.source import Source, map_in_threads
from service.errors import InvalidRequest
from workers.data.images.decode import BrokenImage, content_hash, decode_rgb, is_deep
from workers.data.plain_values import shown

PLACES = 8
ROWS_PER_PLACE = 8
_REASONS_SHOWN = 4


@dataclass(frozen=True)
class Sample:
    """How many images were tried, how many could not be decoded, and how many have more than 8 bits per sample."""

    images: int
    bad: int
    deep: int
    side: int | None = None
    """The median of the shorter sides of those that were decoded, in pixels."""


def decode_sample(source: Source) -> Sample:
    """Decodes about PLACES x ROWS_PER_PLACE images. Raises InvalidRequest if more than half are broken."""
    decoded = deep = 0
    broken: list[tuple[int, int, str]] = []
    sides: list[int] = []
    for shard_index, rows in sample_rows([shard.rows for shard in source.shards]).items():
        for row, data in zip(rows, source.read_rows(shard_index, rows), strict=True):
            decoded += 1
            try:
                if isinstance(data, BrokenImage):
                    raise data
                sides.append(min(decode_rgb(data).size))
                deep += is_deep(data)
            except BrokenImage as error:
                broken.append((shard_index, row, error.reason))
    if len(broken) > decoded / 2:
        raise InvalidRequest(
            source.image_field,
            f"{len(broken)} of {decoded} sampled images cannot be decoded, the first at {_by_reason(source, broken)}",
        )
    return Sample(decoded, len(broken), deep, median_low(sides) if sides else None)


def _by_reason(source: Source, broken: list[tuple[int, int, str]]) -> str:
    """Returns the first row of each reason, with the reason."""
    count = Counter(reason for _, _, reason in broken)
    first: dict[str, str] = {}
    for shard_index, row, reason in broken:
        if reason not in first and len(first) < _REASONS_SHOWN:
            first[reason] = source.row_name(shard_index, row)
    named = [
        f"{where}: {shown(reason)}" + (f" ({count[reason]} so)" if len(first) > 1 else "")
        for reason, where in first.items()
    ]
    return "; and at ".join(named)


def sample_rows(rows_per_shard: list[int]) -> dict[int, list[int]]:
    """Returns the sorted rows to sample, by shard: the first and last rows of all, and runs at random places between.

    It samples runs of neighbours because a Parquet file is read in whole row groups. The sample is always the same for
    the same dataset.
    """
    filled = [index for index, rows in enumerate(rows_per_shard) if rows]
    chosen: dict[int, set[int]] = {filled[0]: set(), filled[-1]: set()}
    _add_run(chosen, filled[0], 0, rows_per_shard)
    _add_run(chosen, filled[-1], rows_per_shard[filled[-1]] - ROWS_PER_PLACE, rows_per_shard)
    draws = random.Random(0)
    for _ in range(PLACES - 2):
        shard_index = draws.choice(filled)
        _add_run(chosen, shard_index, draws.randrange(rows_per_shard[shard_index]), rows_per_shard)
    return {shard_index: sorted(rows) for shard_index, rows in sorted(chosen.items())}


def hash_images(source: Source) -> list[list[bytes | None]]:
    """Returns the content hash of every image by shard, in row order.

    The hash is None for an empty image (a null, a zero-byte file), since equal hashes of empty images would make
    datasets look as if they shared images.
    """

    def hash_shard(shard_index: int) -> list[bytes | None]:
        return [content_hash(data) if data else None for data in source.iterate_images(shard_index)]

    return list(map_in_threads(hash_shard, range(len(source.shards))))


def _add_run(chosen: dict[int, set[int]], shard_index: int, start: int, rows_per_shard: list[int]) -> None:
    rows = rows_per_shard[shard_index]
    first = max(0, min(start, rows - ROWS_PER_PLACE))
    chosen.setdefault(shard_index, set()).update(range(first, min(first + ROWS_PER_PLACE, rows)))
