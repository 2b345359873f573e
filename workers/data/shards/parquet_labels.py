"""Names the labels of a Parquet file: from its own column, from its folder, or from Hugging Face's metadata."""

import json
from collections.abc import Hashable, Iterable, Mapping
from urllib.parse import unquote, urlsplit

import pyarrow as pa

_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_HUGGING_FACE = b"huggingface"


def partitions(uri: str) -> dict[str, str | None]:
    """The columns that a file's folders name, as in `label=cat`. Hive, Spark and DuckDB leave them out of the file."""
    path = unquote(urlsplit(uri).path) if "://" in uri else uri
    named = (folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder)
    return {unquote(name): None if value == _NULL_PARTITION else unquote(value) for name, _, value in named if name}


def class_label_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """The class names of a column's integers, in order, from Hugging Face's `ClassLabel`; () if there are none."""
    try:
        told = json.loads((schema.metadata or {}).get(_HUGGING_FACE, b"{}"))
        names = told["info"]["features"][column]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    if isinstance(names, dict):  # by number, as in the YAML of a card
        names = [names.get(str(number)) for number in range(len(names))]
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if known else ()


def label_texts(labels: Iterable[Hashable], names: tuple[str, ...]) -> list[str | None]:
    """The class names of a column's values; None for a missing label, such as a negative number that has `names`."""
    known: dict[Hashable, str | None] = {}  # one text for all rows of a class, of which there may be millions
    texts = []
    for label in labels:
        if label not in known:
            known[label] = label_text(label, names)
        texts.append(known[label])
    return texts


def label_text(label: Hashable, names: tuple[str, ...]) -> str | None:
    """The class name of one value; None if it is missing."""
    if label is None or not names or not isinstance(label, int):
        return None if label is None else str(label)
    if label < 0:
        return None
    return names[label] if label < len(names) else str(label)


def named_values(row: Mapping[str, Hashable], names: Mapping[str, tuple[str, ...]]) -> dict[str, Hashable]:
    """The row with the names of its labels in place of their numbers."""
    return {
        column: label_text(value, names[column]) if isinstance(value, int) and names.get(column) else value
        for column, value in row.items()
    }
