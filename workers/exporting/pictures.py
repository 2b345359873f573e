"""Reads a few encoded pictures from files, folders or Parquet, as they lie on a disk, without any registration."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq

from workers.data.names import IMAGE_SUFFIXES, suffix_of

_IMAGE_COLUMN = "image"
Item = TypeVar("Item")


def some_pictures(place: Path, most: int) -> list[bytes]:
    """Up to `most` pictures from all over a folder and those below it, or from one file. Empty if there are none.

    A picture is an image file, or a value of the column `image` of a Parquet file: bytes, or a struct with `bytes`.
    """
    files = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    pictures = [file for file in files if suffix_of(file.name) in IMAGE_SUFFIXES]
    if pictures:
        return [file.read_bytes() for file in _spread(pictures, most)]
    tables = [file for file in files if suffix_of(file.name) == "parquet"]
    found: list[bytes] = []
    for number, file in enumerate(_spread(tables, most), start=1):
        share = -(-most * number // min(most, len(tables)))
        for data in _of_parquet(file):
            if len(found) >= share:
                break
            found.append(data)
    return found


def _of_parquet(file: Path) -> Iterator[bytes]:
    with pq.ParquetFile(file) as opened:
        if _IMAGE_COLUMN not in opened.schema_arrow.names:
            return
        for batch in opened.iter_batches(batch_size=64, columns=[_IMAGE_COLUMN]):
            for value in batch.column(0).to_pylist():
                data = value.get("bytes") if isinstance(value, dict) else value
                if isinstance(data, bytes):
                    yield data


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """Up to `most` items, evenly from the first to the last."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]
