"""Reads Parquet shards, whose images are in a binary column, or in a struct column with a field `bytes`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers.artifact_io import open_filesystem
from workers.data.budgets import PIECE_BYTES
from workers.data.dataset_roots import check_place
from workers.data.errors import ShardReadError, read_error
from workers.data.names import readable
from workers.data.shards.whole_files import check_regular

_LARGE_ROW_GROUP_BYTES = 64 << 20
_STREAM_BYTES = 4 << 20
_DECODED_BYTES = 16 << 20
"""The most bytes of one decoded batch. The decoder briefly takes a multiple of it."""
_FEW_ROWS = 256
"""The most rows of a batch of images."""
_MANY_ROWS = 65_536
"""The most rows of a batch of labels and keys."""


def holds_images(column_type: pa.DataType) -> bool:
    """Whether a column of this type can hold encoded images."""
    if pa.types.is_dictionary(column_type):
        return _is_binary(column_type.value_type)
    if pa.types.is_struct(column_type):
        position = column_type.get_field_index("bytes")
        return position >= 0 and _is_binary(column_type.field(position).type)
    return _is_binary(column_type)


def holds_labels(column_type: pa.DataType) -> bool:
    """Whether a column of this type can hold class labels: integers or strings, dictionary-encoded or not."""
    if pa.types.is_dictionary(column_type):
        return holds_labels(column_type.value_type)
    return bool(pa.types.is_integer(column_type) or is_string(column_type))


def is_string(column_type: pa.DataType) -> bool:
    """Whether a column of this type holds text."""
    return bool(
        pa.types.is_string(column_type) or pa.types.is_large_string(column_type) or pa.types.is_string_view(column_type)
    )


@contextmanager
def open_parquet(uri: str) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file and reads its footer.

    A row group is read in one go, which is best for a remote store, or as a stream if it is large. Raises
    ShardReadError for a file that is missing, truncated or damaged, and StoreReadError if the storage fails. Errors
    inside the `with` block become such errors too.
    """
    check_place(uri)
    with open_own_parquet(uri) as file:
        yield file


@contextmanager
def open_own_parquet(uri: str) -> Iterator[pq.ParquetFile]:
    """Opens a Parquet file like `open_parquet`, but one that the service wrote among its artifacts."""
    with told_as_read_errors(uri, "Parquet"):
        filesystem, path = open_filesystem(uri)
        check_regular(uri, filesystem, path)
        with filesystem.open_input_file(path) as source:
            metadata = pq.read_metadata(source)
            streams = has_large_groups(metadata)
            yield pq.ParquetFile(
                source, metadata=metadata, pre_buffer=not streams, buffer_size=_STREAM_BYTES if streams else 0
            )


@contextmanager
def told_as_read_errors(uri: str, kind: str) -> Iterator[None]:
    """Raises ShardReadError for what Arrow's readers raise about a file of this `kind`, and StoreReadError if the
    storage fails."""
    try:
        yield
    except FileNotFoundError as error:
        raise ShardReadError(uri, "there is no such file") from error
    except MemoryError:  # Arrow's MemoryError is an ArrowException too, and says nothing about the file
        raise
    except UnicodeDecodeError as error:
        raise ShardReadError(uri, "text in it is not UTF-8") from error
    except (OSError, pa.ArrowException) as error:
        raise read_error(uri, f"not a readable {kind} file, perhaps truncated", error) from error


def has_large_groups(metadata: pq.FileMetaData) -> bool:
    """Whether the file has row groups that are so large that they are read as a stream, page by page.

    Pages may be large too: Arrow's writer checks their size every 1,024 rows, and to read a page takes three times its
    size.
    """
    groups = (metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return max(groups, default=0) > _LARGE_ROW_GROUP_BYTES


def read_columns(file: pq.ParquetFile, columns: Sequence[str]) -> dict[str, list[Any]]:
    """The named columns, whole, as Python values. A struct of images gives its bytes. Only these columns are read.

    Text that is not UTF-8 is written as by `readable`.
    """
    found: dict[str, list[Any]] = {name: [] for name in columns}
    for values in iterate_columns(file, columns, _MANY_ROWS):
        for name, some in values.items():
            found[name] += some
    return found


def iterate_columns(file: pq.ParquetFile, columns: Sequence[str], rows: int) -> Iterator[dict[str, list[Any]]]:
    """Yields the named columns like `read_columns`, in pieces of at most `rows` rows and about PIECE_BYTES.

    Only these columns are read, one row group after another. A large row group (`open_parquet`) is never in memory as a
    whole.
    """
    for group in range(file.num_row_groups):
        yield from _pieces_of_group(file, group, columns, rows)


def read_image_rows(file: pq.ParquetFile, image_column: str, rows: Sequence[int]) -> list[bytes]:
    """The images of `rows`, in that order. Reads only their row groups, and no further than to the last row."""
    starts = np.cumsum([0] + [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)])
    groups = np.searchsorted(starts, rows, side="right") - 1
    found: dict[int, bytes] = {}
    for group in np.unique(groups).tolist():
        wanted = {row for row, row_group in zip(rows, groups, strict=True) if row_group == group}
        start = int(starts[group])
        for batch in _batches_of_group(file, group, [image_column], _FEW_ROWS):
            here = [row for row in wanted if start <= row < start + batch.num_rows]
            images = batch.column(image_column)
            # One by one, because some types of columns have no take().
            found |= {row: column_values(images.slice(row - start, 1))[0] or b"" for row in here}
            start += batch.num_rows
            if start > max(wanted):
                break
    return [found[row] for row in rows]


def has_path(file: pq.ParquetFile, image_column: str, row: int) -> bool:
    """Whether a row of a struct of images has a path to its image, as Hugging Face's structs do."""
    field = file.schema_arrow.field(image_column)
    if not pa.types.is_struct(field.type) or field.type.get_field_index("path") < 0:
        return False
    paths = file.read(columns=[f"{image_column}.path"]).column(image_column)
    return bool(pc.struct_field(paths.slice(row, 1).combine_chunks(), "path").is_valid()[0].as_py())


def iterate_images(file: pq.ParquetFile, image_column: str) -> Iterator[bytes]:
    """Yields every image in row order, with few in memory at a time; b"" for a null."""
    for values in iterate_columns(file, [image_column], _FEW_ROWS):
        for value in values[image_column]:
            yield value or b""


def image_column_bytes(metadata: pq.FileMetaData, schema: pa.Schema, image_column: str) -> int:
    """The encoded size of the image column in bytes, according to the footer."""
    leaf = _leaf(schema, image_column)
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    columns = [group.column(index) for group in groups for index in range(group.num_columns)]
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == leaf)


def _pieces_of_group(
    file: pq.ParquetFile, group: int, columns: Sequence[str], rows: int
) -> Iterator[dict[str, list[Any]]]:
    piece: dict[str, list[Any]] = {name: [] for name in columns}
    count = size = 0
    for batch in _batches_of_group(file, group, columns, rows):
        for name in columns:
            values = column_values(batch.column(name))
            piece[name] += values
            size += sum(len(value) for value in values if isinstance(value, bytes | str))
        count += batch.num_rows
        if count + batch.num_rows > rows or size >= PIECE_BYTES:
            yield piece
            piece, count, size = {name: [] for name in columns}, 0, 0
    if count:
        yield piece


def _batches_of_group(file: pq.ParquetFile, group: int, columns: Sequence[str], most: int) -> Iterator[pa.RecordBatch]:
    leaves = sorted({_leaf(file.schema_arrow, name) for name in columns})
    at_once = _rows_at_once(file.metadata.row_group(group), leaves, most)
    yield from file.iter_batches(batch_size=at_once, row_groups=[group], columns=leaves)


def _rows_at_once(group: pq.RowGroupMetaData, leaves: Sequence[str], most: int) -> int:
    """How many rows may be decoded together. At the worst, each row repeats one value that is as large as all that is
    stored, which takes only a few bytes in the file."""
    chunks = [group.column(index) for index in range(group.num_columns)]
    stored = sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.path_in_schema in leaves and chunk.physical_type == "BYTE_ARRAY"
    )
    return max(1, min(most, _DECODED_BYTES // max(1, int(stored))))


def _leaf(schema: pa.Schema, column: str) -> str:
    field = schema.field(column)
    return f"{column}.bytes" if pa.types.is_struct(field.type) else column


def column_values(column: pa.ChunkedArray | pa.Array) -> list[Any]:
    """The values of a column; of a struct of images, their bytes."""
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:  # writers of Parquet may declare any bytes to be text
        flat = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        values = [None if text is None else readable(text) for text in flat.cast(pa.large_binary()).to_pylist()]
    return values


def _is_binary(column_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(column_type) or pa.types.is_large_binary(column_type) or pa.types.is_binary_view(column_type)
    )
