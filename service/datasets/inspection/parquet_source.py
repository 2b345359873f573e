"""Parquet datasets: finds the columns, counts rows from the footers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from service.datasets.inspection.location import FoundFile, Location
from service.datasets.inspection.source import map_in_threads
from service.datasets.request import DatasetRequest
from service.errors import InvalidRequest
from workers.data.errors import BrokenImage
from workers.data.names import LABEL_NAMES
from workers.data.shards import parquet_shards
from workers.specs.datasets import DatasetFormat, Shard

PARQUET_SUFFIXES = frozenset({"parquet", "pq", "parq"})

_IMAGE_NAMES = ("image", "bytes", "image_bytes", "img", "jpg", "jpeg", "png", "webp", "data", "content")
_KEY_NAMES = ("key", "__key__", "id", "image_id", "file_name", "filename", "path", "name")


@dataclass(frozen=True)
class _Footer:
    uri: str
    schema: pa.Schema
    metadata: pq.FileMetaData


@dataclass(frozen=True)
class ParquetSource:
    """See `source.Source`. One file is one shard."""

    shards: tuple[Shard, ...]
    image_bytes: int
    image_column: str
    label_column: str | None
    key_column: str | None
    format: DatasetFormat = "parquet"
    image_field: str = "image_column"
    label_field: str = "label_column"
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        return f"{self.shards[shard_index].uri} row {row}"

    def label_names(self, shard_index: int) -> list[str | None]:
        assert self.label_column is not None
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file:
            labels = parquet_shards.read_columns(file, [self.label_column])[self.label_column]
        return [None if label is None else str(label) for label in labels]

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file:
            return list(parquet_shards.read_image_rows(file, self.image_column, rows))

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file:
            yield from parquet_shards.iterate_images(file, self.image_column)


def open_parquet_source(request: DatasetRequest, location: Location, files: Sequence[FoundFile]) -> ParquetSource:
    """Reads every footer. Raises InvalidRequest for columns that are missing, of a wrong type, or not to be guessed.

    The columns are chosen by the first file; every other file must have them too.
    """
    footers = list(map_in_threads(_read_footer, [location.uri_of(file) for file in files]))
    first = footers[0]
    image_column = request.image_column or _guess_image_column(first)
    label_column = None
    if request.role != "unlabeled":
        label_column = request.label_column or _guess_label_column(first)
    key_column = request.key_column or _guess_key_column(first, but={image_column, label_column})
    for footer in footers:
        _check_column(footer, "image_column", image_column, parquet_shards.holds_images, _IMAGE_TYPES)
        _check_column(footer, "label_column", label_column, parquet_shards.holds_labels, _LABEL_TYPES)
        _check_column(footer, "key_column", key_column, _holds_keys, _LABEL_TYPES)

    return ParquetSource(
        shards=tuple(Shard(uri=footer.uri, rows=footer.metadata.num_rows) for footer in footers),
        image_bytes=sum(
            parquet_shards.image_column_bytes(footer.metadata, footer.schema, image_column) for footer in footers
        ),
        image_column=image_column,
        label_column=label_column,
        key_column=key_column,
    )


_IMAGE_TYPES = "binary, or a struct with a binary field `bytes`"
_LABEL_TYPES = "integers or strings"


def _read_footer(uri: str) -> _Footer:
    with parquet_shards.open_parquet(uri) as file:
        return _Footer(uri, file.schema_arrow, file.metadata)


def _guess_image_column(footer: _Footer) -> str:
    fitting = [field.name for field in footer.schema if parquet_shards.holds_images(field.type)]
    for name in _IMAGE_NAMES:
        if name in fitting:
            return name
    if len(fitting) == 1:
        return str(fitting[0])
    problem = f"columns {', '.join(fitting)} could all hold images" if fitting else "no column holds images"
    hint = "" if fitting else "; where it lists URIs of images, say so with the format uri_list"
    raise InvalidRequest("image_column", f"{footer.uri}: {problem} ({_IMAGE_TYPES}); {_columns(footer)}{hint}")


def _guess_label_column(footer: _Footer) -> str:
    for name in LABEL_NAMES:
        if name in footer.schema.names:
            return name
    alike = [name for name in footer.schema.names if name.startswith("label")]
    if len(alike) == 1:
        return str(alike[0])
    raise InvalidRequest("label_column", f"{footer.uri}: no column is known to hold the labels; {_columns(footer)}")


def _guess_key_column(footer: _Footer, but: set[str | None]) -> str | None:
    fitting = {field.name for field in footer.schema if _holds_keys(field.type)} - but
    return next((name for name in _KEY_NAMES if name in fitting), None)


def _check_column(
    footer: _Footer, field: str, column: str | None, fits: Callable[[pa.DataType], bool], types: str
) -> None:
    if column is None:
        return
    if footer.schema.names.count(column) != 1:
        raise InvalidRequest(field, f"{footer.uri}: no single column {column!r}; {_columns(footer)}")
    column_type = footer.schema.field(column).type
    if not fits(column_type):
        raise InvalidRequest(field, f"{footer.uri}: column {column!r} is {column_type}, it must be {types}")


def _holds_keys(column_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(column_type) or parquet_shards.is_string(column_type))


def _columns(footer: _Footer) -> str:
    return "its columns are " + ", ".join(f"{field.name} ({field.type})" for field in footer.schema)
