"""Datasets in buckets: keys of every kind, folder markers of consoles and Hadoop, leftovers of engines, lists."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.inputs.expectations import Accepted, Body, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.leftovers import BESIDE_PARQUET, BESIDE_PICTURES
from benchmarks.inputs.made_pictures import photo, photos
from benchmarks.inputs.object_store import put_objects, s3_uri
from benchmarks.inputs.small_parquet import parquet
from benchmarks.inputs.small_tars import LABELED_TAR, LABELS, tar_of
from benchmarks.inputs.trees import class_folders, labeled_rows

_KIND = "buckets"
_BASE = class_folders()
_ALL = Accepted(labeled_rows(_BASE))
_POOL = Accepted(tuple(Row(None, content) for content in photos(4)))
_PLACED = {f"data/{key}": content for key, content in _BASE.items()}
_PARTS = {"part-0.parquet": parquet(photos(2), None), "part-1.parquet": parquet(photos(2, 2), None)}


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _keys()
    yield from _leftovers()
    yield from _formats()
    yield from _lists()
    yield from _places()


def _input(name: str, objects: Mapping[str, bytes], *expected: Outcome, place: str = "", **body: Any) -> DatasetInput:
    """An input in a bucket. `place` is a prefix in it; if it is empty, the objects are below `data/`."""

    def make(_folder: Path) -> Body:
        keys = objects if place else {f"data/{key}": content for key, content in objects.items()}
        bucket = put_objects(keys)
        return {"uri": s3_uri(f"{bucket}/{place or 'data'}"), **body}

    return DatasetInput(name, _KIND, make, expected or (_ALL,))


def _keys() -> Iterator[DatasetInput]:
    yield _input("class folders", _BASE)
    for what, name in {
        "spaces": "my cat",
        "percent signs": "50%25",
        "a plus": "a+b",
        "a question mark": "a?b",
        "a hash": "a#b",
        "umlauts": "B\u00e4r",
        "emoji": "\U0001f431",
        "an ampersand": "a&b=c",
        "quotes": "it's",
        "a comma": "a,b",
        "a colon": "a:b",
    }.items():
        files = _BASE | {f"fox {name}/{name}.jpg": photo(70), f"fox {name}/1.jpg": photo(71)}
        yield _input(f"keys with {what}", files, Accepted(labeled_rows(files)))
    for what, key in {
        "two slashes": "cat//9.jpg",
        "two slashes first": "/cat/9.jpg",
        "a dot": "cat/./9.jpg",
        "two dots": "cat/../9.jpg",
        "three slashes": "cat///9.jpg",
    }.items():
        refused = Refused(says=("9|cat", "key|empty part|slash|name"))
        files = _BASE | {key: photo(72)}
        said = Accepted(_ALL.rows, says=("1|one|key",))
        yield _input(f"a key with {what}", files, refused, said)
        parts = {**_PARTS, key.replace("9.jpg", "9.parquet"): parquet(photos(1, 60), None)}
        said = Accepted(_POOL.rows, says=("1|one|key",))
        yield _input(f"a Parquet key with {what}", parts, refused, said, role="unlabeled")
    for what, key in {"an escape": "cat/\x1b[31m9.jpg", "a C1": "cat/\x9b9.jpg"}.items():
        refused = Refused(says=("character|control|name",))
        yield _input(f"a key with {what}", _BASE | {key: photo(72)}, refused)
    yield _input(
        "a key that is a folder and a file",
        _BASE | {"cat": photo(73)},
        Refused(),
        _ALL,
        Accepted(_ALL.rows, says=("cat",)),
    )


def _leftovers() -> Iterator[DatasetInput]:
    yield _input("folder markers of a console", _BASE | {"cat/": b"", "dog/": b""})
    yield _input("folder markers of Hadoop", _BASE | {"cat_$folder$": b"", "dog_$folder$": b""})
    root = {"data/": b"", "data_$folder$": b"", "data/cat/": b""}
    yield _input("markers of all folders", _PLACED | root, place="data")
    for name, extra in BESIDE_PICTURES.items():
        files = {key: content for key, content in (_BASE | extra).items() if not key.endswith("/")}
        yield _input(f"{name} beside pictures", files)
    for name, extra in BESIDE_PARQUET.items():
        yield _input(f"{name} beside Parquet", _PARTS | extra, _POOL, role="unlabeled")


def _formats() -> Iterator[DatasetInput]:
    yield _input("Parquet", _PARTS, _POOL, role="unlabeled")
    yield _input(
        "one Parquet file",
        {"data/a.parquet": parquet(photos(4), None)},
        _POOL,
        place="data/a.parquet",
        role="unlabeled",
    )
    named = Accepted(tuple(Row(label, photo(row)) for row, label in enumerate(LABELS)))
    yield _input("tars", {"a.tar": tar_of(LABELED_TAR)}, named)
    yield _input("a truncated tar", {"a.tar": tar_of(LABELED_TAR)[:3000]}, Refused(says=(r"a\.tar",)))
    yield _input("a zero-byte Parquet", {"a.parquet": b""}, Refused(says=("empty|zero|bytes",)))
    splits = {
        f"{split}/{name}": photo(80 + place * 10 + number)
        for place, split in enumerate(("train", "val"))
        for number, name in enumerate(_BASE)
    }
    yield _input("splits", splits, Refused(says=("split",)))
    odd = {f"{name}/{row}": photo(20 + row + 5 * (name == "dog")) for name in ("cat", "dog") for row in range(3)}
    yield _input("pictures without suffix", odd, Accepted(labeled_rows(odd)))
    heif = _BASE | {f"fox/{row}.jfif": photo(30 + row) for row in range(2)}
    yield _input("a class of .jfif", heif, Accepted(labeled_rows(heif)))
    yield _input("a folder of lists without format", {"a.csv": b"path\nx.jpg\n"}, Refused(says=("uri_list",)))


def _lists() -> Iterator[DatasetInput]:
    names = [f"pictures/{row}.jpg" for row in range(4)]
    objects = {f"data/{name}": photo(row) for row, name in enumerate(names)}
    relative = "\n".join(names).encode()
    at_list = {"place": "data/list.txt", "role": "unlabeled"}
    yield _input("a list of relative keys", {**objects, "data/list.txt": relative}, _POOL, **at_list)
    table = b"path,label\n" + b"".join(f"{name},{'ab'[row % 2]}\n".encode() for row, name in enumerate(names))
    rows = Accepted(tuple(Row("ab"[row % 2], photo(row)) for row in range(4)))
    yield _input("a table of relative keys", {**objects, "data/list.csv": table}, rows, place="data/list.csv")
    for what, form in {
        "two slashes": "pictures//{}.jpg",
        "a parent": "../../{}.jpg",
        "nothing there": "gone/{}.jpg",
    }.items():
        lines = "\n".join(form.format(row) for row in range(4)).encode()
        refused = Refused(never=("null or an empty file",))
        may = (refused, _POOL) if what == "two slashes" else (refused,)
        yield _input(f"a list of keys with {what}", {**objects, "data/list.txt": lines}, *may, **at_list)
    yield DatasetInput("absolute URIs without options", _KIND, partial(_absolute, names), (_POOL,))


def _absolute(names: list[str], _folder: Path) -> Body:
    bucket = put_objects({name: photo(row) for row, name in enumerate(names)})
    lists = put_objects({"list.txt": "\n".join(f"s3://{bucket}/{name}" for name in names).encode()})
    return {"uri": s3_uri(f"{lists}/list.txt"), "role": "unlabeled"}


def _places() -> Iterator[DatasetInput]:
    yield _input("the root of a bucket", _BASE, place="/")
    yield _input("a slash behind", _PLACED, place="data/")
    absent = Refused(says=("no such|not there|does not exist|no file",))
    yield _input("a prefix that is not there", _BASE, absent, place="absent")
    yield _input("half of a folder's name", _PLACED, absent, place="dat")
    for what, place in {
        "two slashes": "data//x",
        "a slash first": "/data",
        "two dots": "data/../data",
        "a space": "no such",
    }.items():
        yield _input(
            f"a place with {what}",
            _PLACED,
            Refused(),
            _ALL,
            place=place,
        )
    yield DatasetInput(
        "a bucket that is not there", _KIND, lambda _: {"uri": s3_uri("no-such-bucket-at-all/x")}, (Refused(),)
    )
    nobody = "s3://bucket/x?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    yield DatasetInput("a server that is not there", _KIND, lambda _: {"uri": nobody}, (Refused(status=(422, 503)),))
