"""Writes tables as Parquet or CSV while they are sent: one batch of rows is in memory at a time."""

import io
import json
from collections.abc import Iterable, Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

TableFormat = Literal["parquet", "csv"]
MEDIA_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv; charset=utf-8"}
_ROWS_IN_A_GROUP = 131_072


def table_blocks(kind: TableFormat, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """Yields the bytes of one file with the rows of all batches, each of which has the schema.

    CSV has lists as JSON. A reader that got fewer bytes has no Parquet file: its footer comes last.
    """
    return _parquet_blocks(schema, batches) if kind == "parquet" else _csv_blocks(schema, batches)


class _Outbox(io.RawIOBase):
    """A file that is only written: it keeps what was not yet taken."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        block = bytes(data)  # type: ignore[call-overload]
        self._blocks.append(block)
        return len(block)

    def take(self) -> bytes:
        """Returns what was written since the last call."""
        taken, self._blocks = b"".join(self._blocks), []
        return taken


def _parquet_blocks(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    outbox = _Outbox()
    writer = pq.ParquetWriter(outbox, schema, compression="zstd")
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(len(each) for each in waiting) >= _ROWS_IN_A_GROUP:
            writer.write_table(pa.Table.from_batches(waiting, schema))
            waiting = []
            yield outbox.take()
    if waiting:
        writer.write_table(pa.Table.from_batches(waiting, schema))
    writer.close()
    yield outbox.take()


def _csv_blocks(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    flat = pa.schema([pa.field(each.name, pa.string() if _is_list(each.type) else each.type) for each in schema])
    outbox = _Outbox()
    with pa.csv.CSVWriter(outbox, flat) as writer:
        yield outbox.take()
        for batch in batches:
            columns = [_as_json(column) if _is_list(column.type) else column for column in batch.columns]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=flat))
            yield outbox.take()
    yield outbox.take()


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _as_json(column: pa.Array) -> pa.Array:
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]
    return pa.array(texts, pa.string())
