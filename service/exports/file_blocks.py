"""Reads stored files piece by piece while they are sent."""

from collections.abc import Iterator
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from service.artifacts.bulkhead import artifact_store
from workers.artifact_io import open_filesystem

_BLOCK_BYTES = 1 << 20
_BATCH_ROWS = 16_384
Item = TypeVar("Item")


def file_blocks(uri: str) -> Iterator[bytes]:
    """Yields the content of a file. Each block is a call of its own to the store, since a reader may be slow.

    Raises ArtifactStoreUnavailable.
    """
    filesystem, path = open_filesystem(uri)
    with artifact_store():
        stream = filesystem.open_input_stream(path, compression=None)
    try:
        while True:
            with artifact_store():
                block = bytes(stream.read(_BLOCK_BYTES))
            if not block:
                return
            yield block
    finally:
        stream.close()


def parquet_batches(uri: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a Parquet file, some thousands at a time. Raises ArtifactStoreUnavailable."""
    yield from in_calls(_batches(uri, columns))


def in_calls(items: Iterator[Item]) -> Iterator[Item]:
    """Yields the items. Each is a call of its own to the store, since a reader may be slow."""
    while True:
        with artifact_store():
            item = next(items, None)
        if item is None:
            return
        yield item


def _batches(uri: str, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_file(path) as source:
        yield from pq.ParquetFile(source).iter_batches(_BATCH_ROWS, columns=columns, use_threads=False)
