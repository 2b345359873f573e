"""Reads Arrow IPC files: streams of record batches, as Hugging Face's `save_to_disk` writes them, and Feather files."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from workers.artifact_io import open_filesystem
from workers.data.budgets import PIECE_BYTES
from workers.data.dataset_roots import check_place
from workers.data.errors import ShardReadError
from workers.data.shards.parquet_shards import column_values, told_as_read_errors
from workers.data.shards.whole_files import check_regular

FILE_MAGIC = b"ARROW1\0\0"
"""How a file with a footer begins. What follows is the same as in a stream."""
STREAM_MARK = b"\xff\xff\xff\xff"
"""How each message of a stream begins."""
MOST_BATCH_BYTES = 1 << 30
"""The largest record batch that is read, as it is and unpacked. A batch is in memory as a whole."""
_MOST_METADATA_BYTES = 64 << 20
_RECORD_BATCH = 3
_FEW_ROWS = 256


@dataclass(frozen=True)
class ArrowFile:
    """An open Arrow file."""

    uri: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    """Can be read once."""


@contextmanager
def open_arrow(uri: str) -> Iterator[ArrowFile]:
    """Opens an Arrow file and reads its schema.

    Raises ShardReadError for a file that is missing, truncated or damaged, and StoreReadError if the storage fails.
    Errors inside the `with` block become such errors too.
    """
    with _opened(uri) as source:
        if _is_file(source):
            file = ipc.open_file(source)
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
            yield _checked(uri, file.schema, batches)
        else:
            stream = ipc.open_stream(source)
            yield _checked(uri, stream.schema, iter(stream))


def _checked(uri: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> ArrowFile:
    """Arrow trusts what it reads: places of values outside of a batch, and names and texts that are not UTF-8, show
    only when they are used, or crash the process."""

    def checked() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            batch.validate(full=True)
            yield batch

    _ = schema.names
    return ArrowFile(uri, schema, checked())


def iterate_columns(file: ArrowFile, columns: Sequence[str], rows: int) -> Iterator[dict[str, list[Any]]]:
    """Yields the named columns as Python values, in pieces of at most `rows` rows and about PIECE_BYTES. A struct of
    images gives its bytes."""
    for batch in file.batches:
        row_bytes = batch.nbytes // max(1, batch.num_rows)
        at_once = max(1, min(rows, PIECE_BYTES // max(1, row_bytes)))
        for start in range(0, batch.num_rows, at_once):
            piece = batch.slice(start, at_once)
            yield {name: column_values(piece.column(name)) for name in columns}


def iterate_images(file: ArrowFile, image_column: str) -> Iterator[bytes]:
    """Yields every image in row order, with few in memory beside their batch; b"" for a null."""
    for values in iterate_columns(file, [image_column], _FEW_ROWS):
        for value in values[image_column]:
            yield value or b""


def read_image_rows(file: ArrowFile, image_column: str, rows: Sequence[int]) -> list[bytes]:
    """The images of `rows`, in that order. Reads no further than to the last of them."""
    found: dict[int, bytes] = {}
    wanted, start = set(rows), 0
    for batch in file.batches:
        images = batch.column(image_column)
        here = [row for row in wanted if start <= row < start + batch.num_rows]
        found |= {row: column_values(images.slice(row - start, 1))[0] or b"" for row in here}
        start += batch.num_rows
        if start > max(wanted):
            break
    return [found[row] for row in rows]


def rows_in(uri: str) -> int:
    """How many rows an Arrow file has, from the heads of its record batches; their contents are passed over.

    Raises ShardReadError for a file that ends within a batch, and for one with a batch of more than MOST_BATCH_BYTES.
    """
    with _opened(uri) as source:
        size, position, rows = source.size(), len(FILE_MAGIC) if _is_file(source) else 0, 0
        while position + 8 <= size:
            source.seek(position)
            mark, length = struct.unpack("<4si", source.read(8))
            if mark != STREAM_MARK or not 0 <= length <= _MOST_METADATA_BYTES:
                raise ShardReadError(uri, f"not an Arrow file: no message begins at byte {position:,}")
            if length == 0:  # the end of the stream
                break
            message = _Message.read(uri, source.read(length))
            position += 8 + length
            if position + message.body_bytes > size:
                raise ShardReadError(uri, f"is truncated: it has {size:,} bytes, and a batch ends after them")
            unpacked = max(message.body_bytes, _unpacked_bytes(source, position, message.packed))
            if unpacked > MOST_BATCH_BYTES:
                problem = f"has a record batch of {unpacked:,} bytes: write batches of at most"
                raise ShardReadError(uri, f"{problem} {MOST_BATCH_BYTES:,}")
            position += message.body_bytes
            rows += message.rows
    return rows


@dataclass(frozen=True)
class _Message:
    """The head of an Arrow message. pyarrow reads heads only together with their bodies, which hold the images."""

    body_bytes: int
    rows: int
    """0 for a message that is no record batch."""
    packed: tuple[int, ...] = ()
    """Where in the body compressed buffers begin."""

    @classmethod
    def read(cls, uri: str, metadata: bytes) -> "_Message":
        """Reads the flatbuffer of a message: Message.fbs, "Encapsulated message format" of Arrow's columnar format."""
        try:
            message = struct.unpack_from("<I", metadata, 0)[0]
            kind = _field(metadata, message, 1, "<B")
            body = _field(metadata, message, 3, "<q")
            place = _place_of(metadata, message, 2)
            rows = 0
            packed: tuple[int, ...] = ()
            if kind == _RECORD_BATCH and place is not None:
                batch = place + struct.unpack_from("<I", metadata, place)[0]
                rows = _field(metadata, batch, 0, "<q")
                packed = _packed_buffers(metadata, batch)
        except struct.error as error:
            raise ShardReadError(uri, "not a readable Arrow file: the head of a message is damaged") from error
        if body < 0 or rows < 0:
            raise ShardReadError(uri, "not a readable Arrow file: a message has a negative size")
        return cls(body, rows, packed)


def _packed_buffers(metadata: bytes, batch: int) -> tuple[int, ...]:
    """Where the buffers of a compressed record batch begin, from its fields `buffers` and `compression`."""
    place = _place_of(metadata, batch, 2)
    if place is None or _place_of(metadata, batch, 3) is None:
        return ()
    start = place + struct.unpack_from("<I", metadata, place)[0]
    count = struct.unpack_from("<I", metadata, start)[0]
    buffers = [struct.unpack_from("<qq", metadata, start + 4 + 16 * number) for number in range(count)]
    return tuple(offset for offset, length in buffers if offset >= 0 and length > 0)


def _unpacked_bytes(source: pa.NativeFile, body: int, packed: Sequence[int]) -> int:
    """How many bytes compressed buffers have when they are unpacked. Each begins with that number, or with -1."""
    total = 0
    for offset in packed:
        source.seek(body + offset)
        head = source.read(8)
        total += max(0, struct.unpack("<q", head)[0]) if len(head) == 8 else 0
    return total


def _field(data: bytes, table: int, number: int, form: str) -> int:
    """A field of a table of a flatbuffer; 0 if it is left out."""
    place = _place_of(data, table, number)
    return 0 if place is None else int(struct.unpack_from(form, data, place)[0])


def _place_of(data: bytes, table: int, number: int) -> int | None:
    offsets = table - struct.unpack_from("<i", data, table)[0]
    if not 0 <= offsets < len(data) or 4 + 2 * number >= struct.unpack_from("<H", data, offsets)[0]:
        return None
    offset = struct.unpack_from("<H", data, offsets + 4 + 2 * number)[0]
    return table + offset if offset else None


@contextmanager
def _opened(uri: str) -> Iterator[pa.NativeFile]:
    check_place(uri)
    with told_as_read_errors(uri, "Arrow"):
        filesystem, path = open_filesystem(uri)
        check_regular(uri, filesystem, path)
        with filesystem.open_input_file(path) as source:
            yield source


def begins_like_arrow(head: bytes) -> bool:
    """Whether a file that begins with these bytes, at least 8, may be an Arrow file."""
    return head.startswith(FILE_MAGIC) or (head.startswith(STREAM_MARK) and head[4:8] not in (b"", STREAM_MARK))


def _is_file(source: pa.NativeFile) -> bool:
    is_file = bool(source.read(len(FILE_MAGIC)) == FILE_MAGIC)
    source.seek(0)
    return is_file
