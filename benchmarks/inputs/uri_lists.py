"""Lists of URIs: every way to write a path or URI, tables of every dialect, headers and labels of every kind."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.inputs.expectations import Accepted, Body, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.small_parquet import parquet
from benchmarks.inputs.trees import write

_KIND = "uri lists"
_COUNT = 24
_FILES = {f"pictures/{row:02d}.jpg": photo(row) for row in range(_COUNT)}
_ALL = Accepted(tuple(Row(None, content) for content in _FILES.values()))


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _places_that_open()
    yield from _places_that_do_not()
    yield from _texts()
    yield from _json_lines()
    yield from _folders_of_lists()


def list_input(
    name: str, list_name: str, content: bytes | Callable[[Path], bytes], *expected: Outcome, **body: Any
) -> DatasetInput:
    """An input with a list next to the pictures that it may name. If `content` is callable, it gets the folder."""

    def make(folder: Path) -> Body:
        write(folder, _FILES | body.get("files", {}))
        write(folder, {list_name: content if isinstance(content, bytes) else content(folder)})
        rest = {key: value for key, value in body.items() if key not in ("files", "kind")}
        return {"role": "unlabeled", "uri": list_name, **rest}

    return DatasetInput(name, body.get("kind", _KIND), make, expected or (_ALL,))


def text_of(lines: Sequence[str], end: str = "\n", encoding: str = "utf-8") -> bytes:
    """The lines as a text file."""
    return "".join(line + end for line in lines).encode(encoding, "surrogateescape")


def _places_that_open() -> Iterator[DatasetInput]:
    forms: Mapping[str, Callable[[Path, str], str]] = {
        "relative": lambda folder, name: name,
        "relative with ./": lambda folder, name: f"./{name}",
        "relative with inner dots": lambda folder, name: f"pictures/./{name.partition('/')[2]}",
        "absolute": lambda folder, name: str(folder / name),
        "file:///": lambda folder, name: f"file://{folder / name}",
        "file://localhost/": lambda folder, name: f"file://localhost{folder / name}",
        "file:/": lambda folder, name: f"file:{folder / name}",
        "double slashes": lambda folder, name: str(folder / name).replace("/pictures/", "//pictures//"),
        "surrounded by spaces": lambda folder, name: f"  {folder / name}  ",
    }
    for form, place in forms.items():
        content = partial(_listed, place)
        may_refuse = form in ("file://localhost/", "file:/", "double slashes")
        expected: tuple[Outcome, ...] = (_ALL, Refused(says=(r"line|row|\.jpg",))) if may_refuse else (_ALL,)
        yield list_input(f"places: {form}", "list.txt", content, *expected)
    odd = {
        f"pictures/{name}.jpg": photo(40 + place)
        for place, name in enumerate(
            ("50% off", "a#b", "a?b", "a b", "B\u00e4r", "\u732b", "a+b", "50%25", "a&b", "it's")
        )
    }
    rows = Accepted(tuple(Row(None, content) for content in odd.values()))
    yield list_input("paths with odd characters", "list.txt", text_of(list(odd)), rows, files=odd)
    yield list_input("percent-encoded file URIs", "list.txt", partial(_encoded_uris, list(odd)), rows, files=odd)


def _listed(place: Callable[[Path, str], str], folder: Path) -> bytes:
    return text_of([place(folder, name) for name in _FILES])


def _encoded_uris(names: Sequence[str], folder: Path) -> bytes:
    return text_of([(folder / name).as_uri() for name in names])


_CLOSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "https": ("https://example.org/{}.jpg", ("https",)),
    "http": ("http://example.org/{}.jpg", ("http",)),
    "https with a query": ("https://example.org/i?id={}&sig=abc", ("https",)),
    "ftp": ("ftp://example.org/{}.jpg", ("ftp",)),
    "sftp": ("sftp://host/{}.jpg", ("sftp",)),
    "a protocol left out": ("//cdn.example.org/{}.jpg", (r"cdn\.example|scheme|no such|host",)),
    "a data URI": ("data:image/png;base64,iVBORw0KGgo{}=", ("data:",)),
    "hdfs": ("hdfs://namenode/{}.jpg", ("hdfs",)),
    "abfss": ("abfss://box@account.dfs.core.windows.net/{}.jpg", ("abfss",)),
    "azure": ("az://box/{}.jpg", ("az",)),
    "dbfs": ("dbfs:/mnt/pictures/{}.jpg", ("dbfs",)),
    "a mounted DBFS": ("/dbfs/mnt/{}.jpg", ("no such|not there|does not exist",)),
    "hugging face": ("hf://datasets/a/b/{}.jpg", ("hf",)),
    "ipfs": ("ipfs://Qm{}", ("ipfs",)),
    "a windows path": ("C:\\data\\{}.jpg", ("windows|C:|drive",)),
    "a windows path with slashes": ("D:/data/{}.jpg", ("windows|D:|drive",)),
    "a network share": ("\\\\server\\share\\{}.jpg", ("windows|share|backslash|server",)),
    "label studio's local files": ("/data/local-files/?d=pictures/{}.jpg", ("local-files|label studio",)),
    "label studio's uploads": ("/data/upload/3/{}.jpg", ("upload|label studio|no such",)),
    "ids without suffix": ("0a1b2c{}", ("no such|not there|does not exist",)),
    "plain file names": ("IMG_000{}.jpg", ("no such|not there|does not exist",)),
    "a home folder": ("~/pictures/{}.jpg", ("~|home",)),
    "an environment variable": ("$DATA/{}.jpg", (r"\$DATA|no such",)),
    "tuples of python": ("('pictures/{}.jpg', 0)", (r"no such|\('pictures",)),
    "quoted": ("'pictures/{}.jpg'", ("no such|quote",)),
    "a parent": ("../../etc/{}.jpg", (r"\.\.|no such",)),
    "an archive's member": ("pictures.zip/{}.jpg", ("no such|zip",)),
    "a zip URI": ("zip://{}.jpg::pictures.zip", ("zip",)),
    "a folder": ("pictures/", ("folder|directory",)),
    "s3 with dots": ("s3://bucket/../{}.jpg", (r"\.\.",)),
    "gs of a wrong spelling": ("gcs://bucket/{}.jpg", ("gcs",)),
    "google drive": ("https://drive.google.com/file/d/{}/view", ("https",)),
    "html": ("<img src='{}.jpg'>", ("no such|<img",)),
}


def _places_that_do_not() -> Iterator[DatasetInput]:
    """Yields lists of unreadable places. The error must give the true reason and an example, never an empty file."""
    never = ("null or an empty file", "no bytes")
    for name, (form, says) in _CLOSED.items():
        lines = [form.format(number) for number in range(10)]
        # The error names the first entry as an example, or its line.
        example = re.escape(lines[0]).replace("/", "/+")
        refused = Refused(says=(*says, rf"{example}|first|(line|row|entry) [012]\b"), never=never)
        yield list_input(f"cannot be opened: {name}", "list.txt", text_of(lines), refused, kind="closed uris")
        labels = "".join(f"{json.dumps(line)},{'cat' if row % 2 else 'dog'}\n" for row, line in enumerate(lines))
        table = f"path,label\n{labels}".replace("\\\\", "\\").encode()
        yield list_input(f"in a table: {name}", "list.csv", table, refused, kind="closed uris", role="labeled")
    some = [*_FILES, *(f"gone/{number}.jpg" for number in range(4))]
    rows = (*_ALL.rows, *(Row(None, b"") for _ in range(4)))
    yield list_input("four of 28 are gone", "list.txt", text_of(some), Accepted(rows), kind="closed uris")


def _texts() -> Iterator[DatasetInput]:
    names = list(_FILES)
    writings: dict[str, bytes] = {
        "without a last newline": "\n".join(names).encode(),
        "with CRLF": text_of(names, "\r\n"),
        "with old Mac line ends": text_of(names, "\r"),
        "with a BOM": text_of(names, encoding="utf-8-sig"),
        "in UTF-16 with a BOM": text_of(names, encoding="utf-16"),
        "with blank lines": text_of([line for name in names for line in (name, "", "   ")]),
        "with tabs behind": text_of([f"{name}\t" for name in names]),
        "with a form feed at its end": text_of(names) + b"\x0c\n",
    }
    for name, content in writings.items():
        utf_16 = (_ALL, Refused(says=("UTF-8|UTF-16|encod",)))
        yield list_input(f"a text {name}", "list.txt", content, *(utf_16 if "16" in name else (_ALL,)))
    latin = text_of(["pictures/B\u00e4r.jpg", *names], encoding="latin-1")
    yield list_input("a text in latin-1", "list.txt", latin, Refused(says=("UTF-8",)))
    commented = text_of(["# my pictures", *names])
    yield list_input(
        "a text with a comment",
        "list.txt",
        commented,
        _ALL,
        Refused(says=("#",)),
        Accepted((*_ALL.rows, Row(None, b""))),
    )
    nul = text_of([*names[:5], "pictures/\0.jpg"])
    yield list_input("a text with a NUL", "list.txt", nul, Refused(says=("6|NUL|character",)), kind="unsafe lists")
    escape = text_of([*names, "pictures/\x1b[31mred.jpg"])
    yield list_input(
        "a text with an escape code", "list.txt", escape, Refused(says=("25|character|control",)), kind="unsafe lists"
    )
    secret = b"root:x:0:0:SECRETWORD:/root:/bin/bash\n" * 9
    yield list_input("a file with passwords", "passwd.txt", secret, Refused(never=("SECRETWORD",)), kind="unsafe lists")
    yield list_input("an empty text", "list.txt", b"", Refused(says=("no URI|empty|no entr",)))
    yield list_input("a text of blank lines", "list.txt", b"\n\n  \n", Refused(says=("no URI|empty|no entr",)))
    twice = text_of([*names, *names[:3]])
    rows = (*_ALL.rows, *_ALL.rows[:3])
    yield list_input("a text that names three twice", "list.txt", twice, Accepted(rows))
    yield list_input("a line of a megabyte", "list.txt", b"a" * (1 << 20) + b"\n", Refused(), kind="unsafe lists")
    yield list_input("a text without suffix", "list", text_of(names), _ALL, format="uri_list")
    yield list_input("a text called .lst", "list.lst", text_of(names), _ALL, format="uri_list")
    yield list_input("a text called .TXT", "LIST.TXT", text_of(names), _ALL)


def _json_lines() -> Iterator[DatasetInput]:
    names = list(_FILES)
    for key in ("uri", "url", "path", "file_name", "image", "image_path", "filename", "file_path", "filepath", "img"):
        lines = [json.dumps({key: name, "width": 48}) for name in names]
        yield list_input(f"json lines with {key}", "list.jsonl", text_of(lines), _ALL, Refused(says=("image_column",)))
    bodies = {"uri": "list.jsonl", "role": "labeled"}
    good = [{"path": name, "label": "cat" if row % 2 else "dog"} for row, name in enumerate(names)]
    labeled = Accepted(tuple(Row(each["label"], content) for each, content in zip(good, _FILES.values(), strict=True)))
    yield list_input(
        "json lines with labels", "list.jsonl", text_of([json.dumps(each) for each in good]), labeled, **bodies
    )
    for name, label in {
        "an object": {"name": "cat"},
        "a list": ["cat"],
        "an empty list": [],
        "null": None,
        "a number": 3,
        "a fraction": 0.5,
        "true": True,
        "an empty text": "",
        "blanks": "   ",
        "an escape": "\x1b[2J",
        "a lone surrogate": "\ud800",
        "NaN": float("nan"),
        "a NUL": "c\0t",
        "a nested object": {"a": {"b": 1}},
    }.items():
        wrong = [json.dumps(each | ({"label": label} if row == 16 else {})) for row, each in enumerate(good)]
        refused = Refused(says=("17|row 16|line 16",), never=(r"\{'name'",))
        fine = Accepted(
            tuple(Row(str(label) if row == 16 else each.label, each.content) for row, each in enumerate(labeled.rows))
        )
        either = (refused, fine) if name == "a number" else (refused,)
        yield list_input(
            f"a label that is {name}", "list.jsonl", text_of(wrong), *either, kind="labels in lists", **bodies
        )
        uris = [json.dumps(each | ({"path": label} if row == 16 else {})) for row, each in enumerate(good)]
        yield list_input(
            f"a place that is {name}",
            "list.jsonl",
            text_of(uris),
            Refused(says=("17|row 16|line 16",), never=(r"\{'name'",)),
            kind="labels in lists",
            **bodies,
        )
    for name, content in {
        "not json": b"{path: pictures/00.jpg}\n",
        "a list a line": b'["pictures/00.jpg"]\n',
        "one json array": json.dumps(good).encode(),
        "an indented array": json.dumps(good, indent=1).encode(),
        "deeply nested": b"[" * 100_000 + b"]" * 100_000,
        "a deep object": b'{"path": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}\n",
        "a huge number": b'{"path": "pictures/00.jpg", "label": ' + b"9" * 5000 + b"}\n",
    }.items():
        yield list_input(
            f"json lines: {name}", "list.jsonl", content, Refused(), labeled, kind="unsafe lists", **bodies
        )


def _folders_of_lists() -> Iterator[DatasetInput]:
    names = list(_FILES)
    asked = (_ALL, Refused(says=("uri_list",), never=(r"ends in .*\.csv",)))
    for suffix, content in {
        "csv": text_of(["path", *(f"../{name}" for name in names)]),
        "jsonl": text_of([json.dumps({"path": f"../{name}"}) for name in names]),
        "txt": text_of([f"../{name}" for name in names]),
        "tsv": text_of(["path", *(f"../{name}" for name in names)]),
        "ndjson": text_of([json.dumps({"path": f"../{name}"}) for name in names]),
    }.items():
        yield list_input(f"a folder of .{suffix} without format", f"lists/a.{suffix}", content, *asked, uri="lists")
        yield list_input(f"a folder of .{suffix}", f"lists/a.{suffix}", content, _ALL, uri="lists", format="uri_list")
    hub = {"train/metadata.csv": text_of(["file_name,label", *(f"{row}.jpg,{'ab'[row % 2]}" for row in range(6))])}
    hub |= {f"train/{row}.jpg": photo(row) for row in range(6)}
    rows = Accepted(tuple(Row("ab"[row % 2], photo(row)) for row in range(6)))
    yield list_input(
        "a hub's metadata.csv", "unused.txt", b"", rows, uri="train/metadata.csv", role="labeled", files=hub
    )
    table = parquet([None], None)
    yield list_input("a Parquet list without places", "list.parquet", table, Refused(), format="uri_list")
