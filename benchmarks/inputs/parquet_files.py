"""Parquet and Arrow files: every type of image and label column, files of hubs and engines, damaged files."""

import base64
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from benchmarks.inputs.expectations import Accepted, AnyRows, Body, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo, photos
from benchmarks.inputs.small_parquet import parquet, parquet_of
from benchmarks.inputs.trees import tree

_KIND = "parquet"
_IMAGES = photos(6)
_NAMES = ["cat", "dog", "cat", "dog", "cat", "dog"]
_INDICES = [0, 1, 0, 1, 0, 1]
_NAMED = Accepted(tuple(Row(name, image) for name, image in zip(_NAMES, _IMAGES, strict=True)))
_NUMBERED = Accepted(tuple(Row(str(index), image) for index, image in zip(_INDICES, _IMAGES, strict=True)))
_POOL = Accepted(tuple(Row(None, image) for image in _IMAGES))
_TABLE = pa.table({"image": pa.array(_IMAGES, pa.binary()), "label": _NAMES})
_TRUTHFUL = ("truncated", "perhaps damaged")


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _image_columns()
    yield from _folders()
    yield from _writings()
    yield from _damaged()


def _input(name: str, data: bytes, *expected: Outcome, file: str = "a.parquet", **body: Any) -> DatasetInput:
    return DatasetInput(name, body.pop("kind", _KIND), tree({file: data}, **body), expected or (_NAMED,))


def _table(images: pa.Array, labels: pa.Array | None = None, **more: pa.Array) -> bytes:
    names = pa.array(_NAMES) if labels is None else labels
    return parquet_of(pa.table({"image": images, "label": names, **more}))


def _image_columns() -> Iterator[DatasetInput]:
    structs = [{"bytes": image, "path": f"{row}.jpg"} for row, image in enumerate(_IMAGES)]
    columns = {
        "binary": pa.array(_IMAGES, pa.binary()),
        "large_binary": pa.array(_IMAGES, pa.large_binary()),
        "binary_view": pa.array(_IMAGES, pa.binary_view()),
        "a dictionary of binary": pa.array(_IMAGES, pa.binary()).dictionary_encode(),
        "a struct": pa.array(structs),
        "a struct of large_binary": pa.array(structs, pa.struct({"bytes": pa.large_binary(), "path": pa.string()})),
        "a struct of binary_view": pa.array(structs, pa.struct({"bytes": pa.binary_view(), "path": pa.string_view()})),
        "a struct with more fields": pa.array([each | {"width": 48, "format": "JPEG"} for each in structs]),
        "binary in two chunks": pa.chunked_array([_IMAGES[:2], _IMAGES[2:]], pa.binary()),
    }
    for name, column in columns.items():
        where = (_NAMED, Refused(says=("view|type|column",), never=_TRUTHFUL)) if "view" in name else (_NAMED,)
        yield _input(f"images in {name}", _table(column), *where)
    longest = max(map(len, _IMAGES))
    padded = pa.array([image.ljust(longest, b"\0") for image in _IMAGES], pa.binary(longest))
    rows = tuple(Row(row.label, row.content.ljust(longest, b"\0")) for row in _NAMED.rows)
    yield _input("images in fixed_size_binary", _table(padded), Accepted(rows), Refused(says=("binary",)))
    refusals: dict[str, tuple[pa.Array, str]] = {
        "lists of binary": (pa.array([[image] for image in _IMAGES]), "image|column|list"),
        "lists of numbers": (pa.array([list(image[:50]) for image in _IMAGES]), "image|column|list"),
        "texts in base64": (pa.array(["iVBORw0KGgo="] * 6), "uri_list|base64|binary|image"),
        "paths": (pa.array([f"{row}.jpg" for row in range(6)]), "uri_list"),
        "path-only structs": (
            pa.array(
                [{"bytes": None, "path": f"/x/{row}.jpg"} for row in range(6)],
                pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            ),
            "path|uri_list|null",
        ),
        "structs of a path": (pa.array([{"path": f"/x/{row}.jpg"} for row in range(6)]), "path|uri_list|bytes"),
        "numbers": (pa.array(range(6)), "image|column"),
        "nulls alone": (pa.array([None] * 6, pa.binary()), "null|empty|no bytes"),
        "the type null": (pa.nulls(6), "image|column|null"),
        "raw pixels": (pa.array([bytes(48 * 32 * 3)] * 6), "picture|image|decode"),
        "numpy files": (pa.array([b"\x93NUMPY\x01\0v\0" + bytes(300)] * 6), "picture|image|decode"),
        "texts": (pa.array([b"hello"] * 6), "picture|image|decode"),
    }
    for name, (column, says) in refusals.items():
        yield _input(f"images that are {name}", _table(column), Refused(says=(says,), never=_TRUTHFUL))
    holes = pa.array([*_IMAGES[:4], None, b""], pa.binary())
    rows = (*_NAMED.rows[:4], Row("cat", b""), Row("dog", b""))
    yield _input("a null and an empty image", _table(holes), Accepted(rows))
    two = _table(pa.array(_IMAGES, pa.binary()), mask=pa.array(_IMAGES, pa.binary()))
    yield _input("a mask beside the image", two)
    odd = parquet_of(pa.table({"photo": _IMAGES, "species": _NAMES}))
    yield _input("columns of unknown names", odd, _NAMED, Refused(says=("label_column|column",)))
    yield _input("columns of unknown names, named", odd, image_column="photo", label_column="species")
    thumbs = parquet_of(pa.table({"front": _IMAGES, "back": _IMAGES, "label": _NAMES}))
    yield _input("two columns of images", thumbs, Refused(says=("front", "back"), field="image_column"))
    nested = pa.array([{"img": {"bytes": image}} for image in _IMAGES])
    yield _input("images two structs deep", _table(nested), Refused(says=("column|struct",)))


def _folders() -> Iterator[DatasetInput]:
    half = parquet(_IMAGES[:3], _NAMES[:3]), parquet(_IMAGES[3:], _NAMES[3:])
    for suffix in (
        "parquet",
        "pq",
        "parq",
        "PARQUET",
        "snappy.parquet",
        "gz.parquet",
        "parquet.snappy",
        "zstd.parquet",
    ):
        files = {f"part-{number}.{suffix}": data for number, data in enumerate(half)}
        yield DatasetInput(
            f"files that end in .{suffix}", "parquet folders", tree(files), (_NAMED, Refused(says=("suffix|ends",)))
        )
    bare = {f"part-{number}": data for number, data in enumerate(half)}
    yield DatasetInput(
        "files without suffix", "parquet folders", tree(bare), (_NAMED, Refused(says=("Parquet|suffix|ends",)))
    )
    yield DatasetInput(
        "a folder called .parquet",
        "parquet folders",
        tree({f"a.parquet/{number}.parquet": data for number, data in enumerate(half)}, uri="a.parquet"),
        (_NAMED,),
    )
    hive = {
        f"label={name}/part-0.parquet": parquet(
            [image for image, each in zip(_IMAGES, _NAMES, strict=True) if each == name], None
        )
        for name in ("cat", "dog")
    }
    yield DatasetInput(
        "Hive folders by label",
        "parquet folders",
        tree(hive),
        (_NAMED, Refused(says=("label=|hive|partition",), never=_TRUTHFUL)),
    )
    dated = {f"date=2024-01-0{number}/part.parquet": data for number, data in enumerate(half, 1)}
    yield DatasetInput("Hive folders by date", "parquet folders", tree(dated), (_NAMED,))
    other = parquet_of(pa.table({"picture": _IMAGES[3:], "label": _NAMES[3:]}))
    differ = {"a.parquet": half[0], "b.parquet": other}
    yield DatasetInput(
        "columns that differ by file", "parquet folders", tree(differ), (Refused(says=(r"b\.parquet",)),)
    )
    kinds = {"a.parquet": half[0], "b.parquet": parquet(_IMAGES[3:], _INDICES[3:])}
    rows = (*_NAMED.rows[:3], *_NUMBERED.rows[3:])
    yield DatasetInput(
        "labels of another type in a file", "parquet folders", tree(kinds), (Refused(says=("label",)), Accepted(rows))
    )
    empty = {"a.parquet": half[0], "b.parquet": half[1], "c.parquet": parquet([], pa.array([], pa.string()))}
    yield DatasetInput("a file without rows among others", "parquet folders", tree(empty), (_NAMED,))
    zero = {"a.parquet": half[0], "b.parquet": half[1], "c.parquet": b""}
    yield DatasetInput(
        "a file of zero bytes among others",
        "parquet folders",
        tree(zero),
        (Refused(says=(r"c\.parquet", "empty|zero|no bytes")), Accepted(_NAMED.rows, says=("c.parquet|empty|1",))),
    )
    mixed = {"a.parquet": half[0], "b.parquet": half[1], "cat/0.jpg": photo(50)}
    yield DatasetInput("pictures beside", "parquet folders", tree(mixed), (Refused(says=("format",)),))
    splits = {"train.parquet": half[0], "test.parquet": half[1]}
    yield DatasetInput(
        "files called train and test", "parquet folders", tree(splits), (_NAMED, Refused(says=("split",)))
    )


def _writings() -> Iterator[DatasetInput]:
    options: dict[str, dict[str, Any]] = {
        **{
            f"compressed by {codec}": {"compression": codec}
            for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd")
        },
        "in pages of version 2": {"data_page_version": "2.0"},
        "of version 1.0": {"version": "1.0"},
        "without dictionaries": {"use_dictionary": False},
        "without statistics": {"write_statistics": False},
        "with checksums": {"write_page_checksum": True},
        "with a page index": {"write_page_index": True},
        "delta encoded": {
            "use_dictionary": False,
            "column_encoding": {"image": "DELTA_LENGTH_BYTE_ARRAY", "label": "DELTA_BYTE_ARRAY"},
        },
        "in row groups of one": {"row_group_size": 1},
        "in tiny pages": {"data_page_size": 10},
        "split by content": {"use_content_defined_chunking": True},
        "without Arrow's schema": {"store_schema": False},
    }
    for name, kwargs in options.items():
        yield _input(f"written {name}", parquet(_IMAGES, _NAMES, **kwargs), kind="parquet writings")
    rows = photos(60)
    many = Accepted(tuple(Row("ab"[row % 2], content) for row, content in enumerate(rows)))
    yield _input(
        "sixty rows in groups of seven", parquet(rows, ["a", "b"] * 30, row_group_size=7), many, kind="parquet writings"
    )


def _damaged() -> Iterator[DatasetInput]:
    data = parquet(_IMAGES, _NAMES)
    refused = Refused(says=("Parquet", r"a\.parquet"))
    for name, damaged in {
        "half of it": data[: len(data) // 2],
        "without its end": data[:-8],
        "zero bytes": b"",
        "four bytes": b"PAR1",
        "twelve bytes": b"PAR1\0\0\0\0PAR1",
        "a footer's length too long": data[:-8] + b"\xff\xff\xff\x7fPAR1",
        "random bytes between": b"PAR1" + bytes(range(256)) * 40 + b"\x10\0\0\0PAR1",
        "a csv": b"image,label\n1,2\n",
        "a git lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "gzip": b"\x1f\x8b\x08" + bytes(99),
        "an HTML page": b"<!DOCTYPE html><html>404</html>",
    }.items():
        yield _input(f"damaged: {name}", damaged, refused, kind="damaged parquet")
    for place in range(0, len(data) - 8, len(data) // 12):
        flipped = bytearray(data)
        flipped[place] ^= 0xFF
        # The damage may hit only a picture; then rows differ, or one is broken.
        yield DatasetInput(
            f"byte {place} of {len(data)} flipped",
            "flipped parquet",
            tree({"a.parquet": bytes(flipped)}),
            (Refused(), AnyRows(6)),
        )
    yield DatasetInput(
        "an encrypted column", "damaged parquet", partial(_encrypted, True, "image"), (Refused(says=("encrypt",)),)
    )
    yield DatasetInput(
        "an encrypted footer", "damaged parquet", partial(_encrypted, False, "image"), (Refused(says=("encrypt",)),)
    )
    yield DatasetInput(
        "an encrypted label column",
        "damaged parquet",
        partial(_encrypted, True, "label"),
        (Refused(says=("encrypt",)),),
    )
    yield _input(
        "no rows",
        parquet([], pa.array([], pa.string())),
        Refused(says=("no (rows|images)|empty",)),
        kind="damaged parquet",
    )
    yield _input("no columns", parquet_of(pa.table({})), Refused(), kind="damaged parquet")
    bad_name = parquet_of(pa.table({"image": _IMAGES, "label\x1b[31m": _NAMES}))
    yield _input("a column name with an escape", bad_name, Refused(), _NAMED, kind="damaged parquet")
    wide = parquet_of(pa.table({"image": _IMAGES, **{f"column {number}": [number] * 6 for number in range(2000)}}))
    yield _input("two thousand columns", wide, Refused(says=("label",)), kind="damaged parquet")


def _encrypted(plain_footer: bool, column: str, folder: Path) -> Body:
    """A file encrypted by Parquet's own encryption, with keys that the service does not have."""
    config = pe.EncryptionConfiguration(
        footer_key="footer", column_keys={"secret": [column]}, plaintext_footer=plain_footer, double_wrapping=False
    )
    factory = pe.CryptoFactory(lambda _: _OpenKeys())
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    with pq.ParquetWriter(folder / "a.parquet", _TABLE.schema, encryption_properties=properties) as writer:
        writer.write_table(_TABLE)
    return {}


class _OpenKeys(pe.KmsClient):
    """A key server that leaves keys unwrapped, because the writer requires a key server."""

    def wrap_key(self, key_bytes: bytes, _master: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, _master: str) -> bytes:
        return base64.b64decode(wrapped_key)
