"""Labels in Parquet files: every type of column, values that are not a class, and class names that hubs store."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from benchmarks.inputs.expectations import Accepted, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo, photos
from benchmarks.inputs.small_parquet import parquet, parquet_of
from benchmarks.inputs.trees import tree

_IMAGES = photos(6)
_NAMES = ["cat", "dog", "cat", "dog", "cat", "dog"]
_INDICES = [0, 1, 0, 1, 0, 1]
_NAMED = Accepted(tuple(Row(name, image) for name, image in zip(_NAMES, _IMAGES, strict=True)))
_NUMBERED = Accepted(tuple(Row(str(index), image) for index, image in zip(_INDICES, _IMAGES, strict=True)))
_POOL = Accepted(tuple(Row(None, image) for image in _IMAGES))
_TRUTHFUL = ("truncated", "perhaps damaged")


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _label_columns()
    yield from _hubs()


def _input(
    name: str, data: bytes, *expected: Outcome, file: str = "a.parquet", kind: str = "parquet labels", **body: Any
) -> DatasetInput:
    return DatasetInput(name, kind, tree({file: data}, **body), expected or (_NAMED,))


def _table(images: pa.Array, labels: pa.Array) -> bytes:
    return parquet_of(pa.table({"image": images, "label": labels}))


def _label_columns() -> Iterator[DatasetInput]:
    images = pa.array(_IMAGES, pa.binary())
    good = {
        "int8": pa.array(_INDICES, pa.int8()),
        "uint64": pa.array(_INDICES, pa.uint64()),
        "a dictionary of texts": pa.array(_NAMES).dictionary_encode(),
        "large_string": pa.array(_NAMES, pa.large_string()),
        "string_view": pa.array(_NAMES, pa.string_view()),
        "texts in chunks": pa.chunked_array([_NAMES[:1], _NAMES[1:]]),
    }
    for name, column in good.items():
        rows = _NUMBERED if pa.types.is_integer(column.type) else _NAMED
        expected = (rows, Refused(says=("view|type",), never=_TRUTHFUL)) if "view" in name else (rows,)
        yield _input(f"labels of {name}", _table(images, column), *expected)
    as_text = {
        "floats": (pa.array([0.0, 1.0] * 3), "0\\.0|float|double|integer"),
        "half precision": (pa.array([0.0, 1.0] * 3, pa.float16()), "half|float|integer"),
        "booleans": (pa.array([True, False] * 3), "bool|integer"),
        "dates": (pa.array([1, 2] * 3, pa.date32()), "date|integer"),
        "decimals": (pa.array([1, 2] * 3).cast(pa.decimal128(21, 2)), "decimal|integer"),
        "lists of one": (pa.array([[0], [1]] * 3), "list|integer"),
        "one-hot lists": (pa.array([[0, 1], [1, 0]] * 3), "list|integer"),
        "structs": (pa.array([{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}] * 3), "struct|integer"),
        "binary": (pa.array([b"cat", b"dog"] * 3), "binary|string"),
        "maps": (pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64())), "map|integer"),
        "nulls alone": (pa.nulls(6, pa.string()), "label"),
        "the type null": (pa.nulls(6), "null|label"),
        "json": (pa.array(['{"name": "cat"}', '{"name": "dog"}'] * 3), "label|class"),
    }
    for name, (column, says) in as_text.items():
        texts = [str(value) for value in column.to_pylist()]
        rows = Accepted(tuple(Row(text, image) for text, image in zip(texts, _IMAGES, strict=True)))
        lenient = (rows,) if name in ("json", "booleans", "floats", "dates", "decimals") else ()
        names = (_NAMED,) if name == "binary" else ()
        yield _input(f"labels of {name}", _table(images, column), Refused(says=(says,)), *lenient, *names)
    for name, value in {
        "null": None,
        "empty": "",
        "blank": "  ",
        "an escape": "\x1b[31m",
        "a newline": "a\nb",
        "a NUL": "a\0b",
        "a C1": "a\x9bb",
    }.items():
        column = pa.array([*_NAMES[:4], value, "dog"])
        refused = Refused(says=("row 4|row 5",))
        yield _input(f"a label that is {name}", _table(images, column), refused)
    minus = pa.array([-1, 0, 1, 0, 1, -1])
    with_minus = tuple(Row(str(value), image) for value, image in zip(minus.to_pylist(), _IMAGES, strict=True))
    yield _input(
        "labels with -1",
        _table(images, minus),
        Accepted(with_minus, says=("-1",)),
        Refused(says=("-1",)),
        kind="parquet labels",
    )
    twice = parquet([*_IMAGES, _IMAGES[0]], [*_NAMES, "dog"])
    said = Accepted((*_NAMED.rows, Row("dog", _IMAGES[0])), says=("label|class",))
    yield _input("one image with two labels", twice, said, Refused(says=("label|class",)))
    for column_name in ("labels", "class", "category", "fine_label", "label_id", "target", "Label", "y"):
        data = parquet_of(pa.table({"image": images, column_name: _NAMES}))
        yield _input(f"labels called {column_name}", data, _NAMED, Refused(says=("label_column|column",)))
    both = parquet_of(pa.table({"image": images, "fine_label": _NAMES, "coarse_label": _INDICES}))
    yield _input("two label columns", both, Refused(says=("fine_label", "coarse_label")))


def _hub_table(features: dict[str, Any], **columns: Any) -> bytes:
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return parquet_of(table)


def _hubs() -> Iterator[DatasetInput]:
    structs = pa.array([{"bytes": image, "path": f"{row}.jpg"} for row, image in enumerate(_IMAGES)])
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    data = _hub_table(features, image=structs, label=pa.array(_INDICES, pa.int64()))
    said = Accepted(_NUMBERED.rows, says=("cat|ClassLabel|names",))
    yield _input("a hub's ClassLabel", data, _NAMED, said, kind="hubs")
    by_number = features | {"label": {"names": {"0": "cat", "1": "dog"}, "_type": "ClassLabel"}}
    data = _hub_table(by_number, image=structs, label=pa.array(_INDICES, pa.int64()))
    yield _input("a hub's names by number", data, _NAMED, said, kind="hubs")
    few = features | {"label": {"names": ["cat"], "_type": "ClassLabel"}}
    data = _hub_table(few, image=structs, label=pa.array(_INDICES, pa.int64()))
    yield _input(
        "a hub's names that are too few", data, _NUMBERED, Refused(says=("names|ClassLabel|label",)), kind="hubs"
    )
    minus = pa.array([-1] * 6, pa.int64())
    data = _hub_table(features, image=structs, label=minus)
    yield _input("a hub's hidden test labels", data, Refused(says=("-1|one class|class",)), kind="hubs")
    yield _input("a hub's hidden test labels as a pool", data, _POOL, kind="hubs", role="unlabeled")
    broken = parquet_of(
        pa.table({"image": structs, "label": _NAMES}).replace_schema_metadata({"huggingface": "{not json"})
    )
    yield _input("a hub's metadata that is not JSON", broken, kind="hubs")
    odd = _hub_table(
        {"label": {"_type": "ClassLabel", "names": ["\x1b[31m", "dog"]}}, image=structs, label=pa.array(_INDICES)
    )
    yield _input("a hub's names with an escape", odd, Refused(), _NUMBERED, kind="hubs")
    twice = features | {"label": {"names": ["cat", "cat"], "_type": "ClassLabel"}}
    data = _hub_table(twice, image=structs, label=pa.array(_INDICES, pa.int64()))
    yield _input("a hub's names that repeat", data, _NUMBERED, Refused(says=("cat|twice|more than once",)), kind="hubs")
    table = pa.table({"image": structs, "label": _NAMES})
    for name, writer in {"arrow": pa.ipc.new_file, "stream": pa.ipc.new_stream}.items():
        sink = io.BytesIO()
        with writer(sink, table.schema) as out:
            out.write_table(table)
        yield _input(
            f"an Arrow {name} file",
            sink.getvalue(),
            _NAMED,
            Refused(says=("arrow",)),
            file="data-00000.arrow",
            kind="hubs",
        )
    files = {
        "data/train-00000-of-00001.parquet": parquet(_IMAGES, _NAMES),
        "data/test-00000-of-00001.parquet": parquet(photos(2, 50), ["cat", "dog"]),
        "README.md": b"---\n",
    }
    both = Accepted((*_NAMED.rows, Row("cat", photo(50)), Row("dog", photo(51))))
    yield DatasetInput("a hub's folder with two splits", "hubs", tree(files), (both, Refused(says=("split",))))
