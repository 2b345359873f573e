"""Parquet files that are small on disk but large once read, or large in one piece. Memory must stay bounded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.inputs.expectations import AnyRows, Body, DatasetInput, Refused
from benchmarks.inputs.made_pictures import photo

_KIND = "parquet bombs"


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield _input("300 times one picture of 8 MiB", _repeated(300, 8 << 20), 300, 1000, Refused())
    yield _input("three million times one small picture", _repeated(3_000_000, 0), 3_000_000, 1500, Refused())
    yield _input("a row group of 2.3 GB", _one_row_group, 28_000, 1500)
    yield _input("a page of 300 MB", _one_page, 3_700, 1500)
    yield _input("a label of 64 MiB", _long_label, 4, 1000, Refused(says=("label|class",)))


def _input(name: str, make: Callable[[Path], Body], rows: int, most_mib: float, *others: Refused) -> DatasetInput:
    return DatasetInput(name, _KIND, make, (AnyRows(rows), *others), most_mib=most_mib, most_seconds=300.0)


def _repeated(rows: int, padding: int) -> Callable[[Path], Body]:
    def make(folder: Path) -> Body:
        zeros = pa.array(np.zeros(rows, np.int32))
        images = pa.DictionaryArray.from_arrays(zeros, pa.array([photo(0) + bytes(padding)], pa.binary()))
        labels = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows, dtype=np.int32) % 2), pa.array(["a", "b"]))
        table = pa.table({"image": images, "label": labels})
        options: dict[str, Any] = {"row_group_size": rows, "dictionary_pagesize_limit": 1 << 30, "compression": "zstd"}
        pq.write_table(table, folder / "a.parquet", store_schema=False, **options)
        return {}

    return make


def _one_row_group(folder: Path) -> Body:
    """28,000 pictures of 81 KiB in one row group, as the default writer makes it from a camera's folder."""
    _write_whole(folder, rows=28_000, picture_bytes=81 << 10, page_bytes=1 << 20)
    return {}


def _one_page(folder: Path) -> Body:
    _write_whole(folder, rows=3_700, picture_bytes=81 << 10, page_bytes=1 << 30)
    return {}


def _write_whole(folder: Path, rows: int, picture_bytes: int, page_bytes: int) -> None:
    block = [photo(row).ljust(picture_bytes, b"\0") for row in range(100)]
    # Repeating the same block costs this process no memory, but costs its reader all of it.
    images = pa.chunked_array([pa.array(block, pa.binary())] * (rows // 100))
    labels = pa.array([("a", "b")[row % 2] for row in range(rows)])
    table = pa.table({"image": images, "label": labels})
    pq.write_table(
        table,
        folder / "a.parquet",
        row_group_size=rows,
        compression="none",
        use_dictionary=False,
        data_page_size=page_bytes,
        write_batch_size=rows if page_bytes > 1 << 20 else 1024,
    )


def _long_label(folder: Path) -> Body:
    labels = ["a", "b", "a", "c" * (64 << 20)]
    pq.write_table(pa.table({"image": [photo(row) for row in range(4)], "label": labels}), folder / "a.parquet")
    return {}
