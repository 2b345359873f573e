"""Finds the columns of images, labels and keys in tables with a schema, and the names of their classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from service.config.datasets import DatasetRequest
from service.errors import InvalidRequest
from workers.data.names import LABEL_NAMES, first_known
from workers.data.plain_values import flaw_of, shown
from workers.data.shards import parquet_shards
from workers.data.shards.parquet_labels import class_label_names
from workers.specs.datasets import Shard

_IMAGE_NAMES = ("image", "bytes", "image_bytes", "img", "jpg", "jpeg", "png", "webp", "data", "content")
_KEY_NAMES = ("key", "__key__", "id", "image_id", "file_name", "filename", "path", "name")
_COLUMNS_SHOWN = 30
_IMAGE_TYPES = "binary, or a struct with a binary field `bytes`"
_LABEL_TYPES = "integers or strings"

NamesOf = Callable[[str], tuple[str, ...]]
"""Returns the class names that files beside the tables give to a column's numbers; () if there are none."""


@dataclass(frozen=True)
class TableHead:
    """What a file says about itself before any row is read."""

    uri: str
    schema: pa.Schema
    partitions: Mapping[str, str | None]
    """The columns that its folders name."""


@dataclass(frozen=True)
class TableColumns:
    """The columns that are used."""

    image: str
    label: str | None
    key: str | None
    class_names: tuple[str, ...] | None
    """The names of integer labels, if the files give them."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class TableSource:
    """What every `source.Source` of files with a schema has. One file is one shard."""

    shards: tuple[Shard, ...]
    image_bytes: int
    image_column: str
    label_column: str | None
    key_column: str | None
    class_names: tuple[str, ...] | None = None
    """The names of integer labels, if the files give them. The manifest passes them on to the readers."""
    image_field: str = "image_column"
    label_field: str = "label_column"
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        return f"{self.shards[shard_index].uri} row {row}"


def chosen_columns(request: DatasetRequest, heads: Sequence[TableHead], names_of: NamesOf) -> TableColumns:
    """Chooses the columns by the first file.

    Every other file must have the same columns, except that the name of its folder may give the label. Raises
    InvalidRequest for columns that are missing, have a wrong type, or cannot be guessed.
    """
    first = heads[0]
    image_column = request.image_column or _guess_image_column(first)
    label_column = None
    if request.role != "unlabeled":
        label_column = request.label_column or _guess_label_column(first, names_of)
    key_column = request.key_column or _guess_key_column(first, but={image_column, label_column})
    for head in heads:
        _check_column(head, "image_column", image_column, parquet_shards.holds_images, _IMAGE_TYPES)
        if label_column not in head.partitions or label_column in head.schema.names:
            _check_column(head, "label_column", label_column, parquet_shards.holds_labels, _LABEL_TYPES)
        _check_column(head, "key_column", key_column, _holds_keys, _LABEL_TYPES)
    names = None if label_column is None else _class_names(request, heads, label_column, names_of)
    unused = () if label_column is None or names else _unused_names(first, label_column, names_of)
    return TableColumns(image_column, label_column, key_column, names, unused)


def _class_names(
    request: DatasetRequest, heads: Sequence[TableHead], column: str, names_of: NamesOf
) -> tuple[str, ...] | None:
    """Returns the names that the files give to their integer labels, or None if the request names classes by number.

    Raises InvalidRequest if the files disagree or a name cannot be used.
    """
    names = _names_in(heads[0], column, names_of)
    if not names or (request.classes is not None and not set(names) & set(request.classes)):
        return None
    for head in heads:
        if _names_in(head, column, names_of) != names:
            raise InvalidRequest("label_column", f"{head.uri}: names other classes than {heads[0].uri}")
    flaw = next((found for name in names if (found := flaw_of(name)) is not None), None)
    if flaw is not None or len(set(names)) < len(names):
        problem = "is one that comes twice" if flaw is None else f"is one with {flaw}"
        raise InvalidRequest("label_column", f"{heads[0].uri}: of the classes that it names there {problem}")
    return names


def _names_in(head: TableHead, column: str, names_of: NamesOf) -> tuple[str, ...]:
    """The names that a file's own schema gives to a column's numbers, or those that files beside it give."""
    if (names := class_label_names(head.schema, column)) or column not in head.schema.names:
        return names
    return names_of(column) if pa.types.is_integer(head.schema.field(column).type) else ()


def _unused_names(head: TableHead, column: str, names_of: NamesOf) -> tuple[str, ...]:
    names = _names_in(head, column, names_of)
    return (
        (f"the files name {len(names)} classes, which are not used: classes are asked for by number",) if names else ()
    )


def _guess_image_column(head: TableHead) -> str:
    fitting = [field.name for field in head.schema if parquet_shards.holds_images(field.type)]
    if (known := first_known(_IMAGE_NAMES, fitting)) is not None:
        return known
    if len(fitting) == 1:
        return str(fitting[0])
    named = ", ".join(shown(name, 60) for name in fitting[:_COLUMNS_SHOWN])
    problem = f"columns {named} could all hold images" if fitting else "no column holds images"
    hint = "" if fitting else "; where it lists URIs of images, say so with the format uri_list"
    raise InvalidRequest("image_column", f"{head.uri}: {problem} ({_IMAGE_TYPES}); {_columns(head)}{hint}")


def _guess_label_column(head: TableHead, names_of: NamesOf) -> str:
    if (known := first_known(LABEL_NAMES, [*head.schema.names, *head.partitions])) is not None:
        return known
    alike = [name for name in head.schema.names if name.startswith("label")]
    if len(alike) == 1:
        return str(alike[0])
    named = [name for name in head.schema.names if _names_in(head, name, names_of)]
    if len(named) == 1:
        return str(named[0])
    raise InvalidRequest("label_column", f"{head.uri}: no column is known to hold the labels; {_columns(head)}")


def _guess_key_column(head: TableHead, but: set[str | None]) -> str | None:
    fitting = {field.name for field in head.schema if _holds_keys(field.type)} - but
    return next((name for name in _KEY_NAMES if name in fitting), None)


def _check_column(
    head: TableHead, field: str, column: str | None, fits: Callable[[pa.DataType], bool], types: str
) -> None:
    if column is None:
        return
    if head.schema.names.count(column) != 1:
        raise InvalidRequest(field, f"{head.uri}: no single column {shown(column)!r}; {_columns(head)}")
    column_type = head.schema.field(column).type
    if not fits(column_type):
        raise InvalidRequest(field, f"{head.uri}: column {shown(column)!r} is {_type(column_type)}, it must be {types}")


def _holds_keys(column_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(column_type) or parquet_shards.is_string(column_type))


def _columns(head: TableHead) -> str:
    listed = [f"{shown(field.name, 60)} ({_type(field.type)})" for field in list(head.schema)[:_COLUMNS_SHOWN]]
    more = f" and {len(head.schema) - _COLUMNS_SHOWN} more" if len(head.schema) > _COLUMNS_SHOWN else ""
    return f"its columns are {', '.join(listed)}{more}"


def _type(column_type: pa.DataType) -> str:
    return shown(str(column_type), 60)
