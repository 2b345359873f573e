"""Parquet datasets: finds the columns, and counts the rows from the footers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from service.config.datasets import DatasetRequest
from service.datasets.formats.source import map_in_threads
from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.data.errors import BrokenImage
from workers.data.names import LABEL_NAMES, first_known
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of, shown
from workers.data.shards import parquet_shards
from workers.data.shards.parquet_labels import class_label_names, label_texts, partitions
from workers.specs.datasets import DatasetFormat, Shard
from workers.specs.hygiene import BrokenKind

PARQUET_SUFFIXES = frozenset({"parquet", "pq", "parq"})

_IMAGE_NAMES = ("image", "bytes", "image_bytes", "img", "jpg", "jpeg", "png", "webp", "data", "content")
_KEY_NAMES = ("key", "__key__", "id", "image_id", "file_name", "filename", "path", "name")
_COLUMNS_SHOWN = 30
_KEYS_CHECKED = 200_000
"""Registration checks the keys of datasets up to this many rows. Readers of larger ones escape the keys."""


@dataclass(frozen=True)
class _Footer:
    uri: str
    schema: pa.Schema
    metadata: pq.FileMetaData
    partitions: Mapping[str, str | None]


@dataclass(frozen=True)
class ParquetSource:
    """A `source.Source` for Parquet files. One file is one shard."""

    shards: tuple[Shard, ...]
    image_bytes: int
    image_column: str
    label_column: str | None
    key_column: str | None
    class_names: tuple[str, ...] | None = None
    """The names of integer labels, if the files give them. The manifest passes them on to the readers."""
    format: DatasetFormat = "parquet"
    image_field: str = "image_column"
    label_field: str = "label_column"
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        return f"{self.shards[shard_index].uri} row {row}"

    def label_names(self, shard_index: int) -> list[str | None]:
        assert self.label_column is not None
        shard = self.shards[shard_index]
        with parquet_shards.open_parquet(shard.uri) as file:
            if self.label_column not in file.schema_arrow.names:
                return [partitions(shard.uri)[self.label_column]] * shard.rows
            labels = parquet_shards.read_columns(file, [self.label_column])[self.label_column]
        return label_texts(labels, self.class_names or ())

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file, _turn(file):
            images: list[bytes | BrokenImage] = list(parquet_shards.read_image_rows(file, self.image_column, rows))
            empty = [place for place, image in enumerate(images) if not image]
            if empty and parquet_shards.has_path(file, self.image_column, rows[empty[0]]):
                for place in empty:
                    images[place] = BrokenImage(BrokenKind.EMPTY, _ONLY_A_PATH)
        return images

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file, _turn(file):
            yield from parquet_shards.iterate_images(file, self.image_column)


def open_parquet_source(request: DatasetRequest, location: Location, files: Sequence[FoundFile]) -> ParquetSource:
    """Reads every footer and chooses the columns by the first file.

    Every other file must have the same columns, except that the name of its folder may give the label. Raises
    InvalidRequest for columns that are missing, have a wrong type, or cannot be guessed.
    """
    if (empty := next((file for file in files if file.size == 0), None)) is not None:
        raise InvalidRequest("uri", f"{location.uri_of(empty)}: not a readable Parquet file: it is empty")
    footers = list(map_in_threads(_read_footer, [location.uri_of(file) for file in files]))
    first = footers[0]
    image_column = request.image_column or _guess_image_column(first)
    label_column = None
    if request.role != "unlabeled":
        label_column = request.label_column or _guess_label_column(first)
    key_column = request.key_column or _guess_key_column(first, but={image_column, label_column})
    for footer in footers:
        _check_column(footer, "image_column", image_column, parquet_shards.holds_images, _IMAGE_TYPES)
        if label_column not in footer.partitions or label_column in footer.schema.names:
            _check_column(footer, "label_column", label_column, parquet_shards.holds_labels, _LABEL_TYPES)
        _check_column(footer, "key_column", key_column, _holds_keys, _LABEL_TYPES)
    if key_column is not None and sum(footer.metadata.num_rows for footer in footers) <= _KEYS_CHECKED:
        list(map_in_threads(lambda footer: _check_keys(footer, key_column), footers))

    names = None if label_column is None else _class_names(request, footers, label_column)
    return ParquetSource(
        shards=tuple(Shard(uri=footer.uri, rows=footer.metadata.num_rows) for footer in footers),
        image_bytes=sum(
            parquet_shards.image_column_bytes(footer.metadata, footer.schema, image_column) for footer in footers
        ),
        image_column=image_column,
        label_column=label_column,
        key_column=key_column,
        class_names=names,
        warnings=() if label_column is None or names else _unused_names(first, label_column),
    )


_LARGE_PAGES = Lock()


def _turn(file: pq.ParquetFile) -> AbstractContextManager[object]:
    """Returns a context in which to read a file. Files that may have large pages are read one at a time."""
    return _LARGE_PAGES if parquet_shards.has_large_groups(file.metadata) else nullcontext()


_ONLY_A_PATH = "a path and no bytes: give the format uri_list, or write the images into the file"
_IMAGE_TYPES = "binary, or a struct with a binary field `bytes`"
_LABEL_TYPES = "integers or strings"


def _read_footer(uri: str) -> _Footer:
    with parquet_shards.open_parquet(uri) as file:
        return _Footer(uri, file.schema_arrow, file.metadata, partitions(uri))


def _class_names(request: DatasetRequest, footers: Sequence[_Footer], column: str) -> tuple[str, ...] | None:
    """Returns the names that the files give to their integer labels, or None if the request names classes by number.

    Raises InvalidRequest if the files disagree or a name cannot be used.
    """
    names = class_label_names(footers[0].schema, column)
    if not names or (request.classes is not None and not set(names) & set(request.classes)):
        return None
    for footer in footers:
        if class_label_names(footer.schema, column) != names:
            raise InvalidRequest("label_column", f"{footer.uri}: names other classes than {footers[0].uri}")
    flaw = next((found for name in names if (found := flaw_of(name)) is not None), None)
    if flaw is not None or len(set(names)) < len(names):
        problem = "is one that comes twice" if flaw is None else f"is one with {flaw}"
        raise InvalidRequest("label_column", f"{footers[0].uri}: of the classes that it names there {problem}")
    return names


def _unused_names(footer: _Footer, column: str) -> tuple[str, ...]:
    names = class_label_names(footer.schema, column)
    return (
        (f"the files name {len(names)} classes, which are not used: classes are asked for by number",) if names else ()
    )


def _check_keys(footer: _Footer, column: str) -> None:
    with parquet_shards.open_parquet(footer.uri) as file:
        keys = parquet_shards.read_columns(file, [column])[column]
    for row, key in enumerate(keys):
        flaw = flaw_of(key, MAX_KEY_CHARACTERS) if isinstance(key, str) else None
        if flaw is not None:
            raise InvalidRequest("key_column", f"{footer.uri} row {row}: its key has {flaw}")


def _guess_image_column(footer: _Footer) -> str:
    fitting = [field.name for field in footer.schema if parquet_shards.holds_images(field.type)]
    if (known := first_known(_IMAGE_NAMES, fitting)) is not None:
        return known
    if len(fitting) == 1:
        return str(fitting[0])
    named = ", ".join(shown(name, 60) for name in fitting[:_COLUMNS_SHOWN])
    problem = f"columns {named} could all hold images" if fitting else "no column holds images"
    hint = "" if fitting else "; where it lists URIs of images, say so with the format uri_list"
    raise InvalidRequest("image_column", f"{footer.uri}: {problem} ({_IMAGE_TYPES}); {_columns(footer)}{hint}")


def _guess_label_column(footer: _Footer) -> str:
    if (known := first_known(LABEL_NAMES, [*footer.schema.names, *footer.partitions])) is not None:
        return known
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
        raise InvalidRequest(field, f"{footer.uri}: no single column {shown(column)!r}; {_columns(footer)}")
    column_type = footer.schema.field(column).type
    if not fits(column_type):
        raise InvalidRequest(
            field, f"{footer.uri}: column {shown(column)!r} is {_type(column_type)}, it must be {types}"
        )


def _holds_keys(column_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(column_type) or parquet_shards.is_string(column_type))


def _columns(footer: _Footer) -> str:
    listed = [f"{shown(field.name, 60)} ({_type(field.type)})" for field in list(footer.schema)[:_COLUMNS_SHOWN]]
    more = f" and {len(footer.schema) - _COLUMNS_SHOWN} more" if len(footer.schema) > _COLUMNS_SHOWN else ""
    return f"its columns are {', '.join(listed)}{more}"


def _type(column_type: pa.DataType) -> str:
    return shown(str(column_type), 60)
