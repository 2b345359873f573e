"""CSV and TSV lists of every dialect: with and without a header, quotes, encodings, ragged rows."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.inputs.expectations import Accepted, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.uri_lists import list_input

_KIND = "tables"
_NAMES = [f"pictures/{row:02d}.jpg" for row in range(24)]
_LABELS = ["cat" if row % 3 else "dog" for row in range(24)]
_ALL = Accepted(tuple(Row(None, photo(row)) for row in range(24)))
_LABELED = Accepted(tuple(Row(label, photo(row)) for row, label in enumerate(_LABELS)))


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _heads()
    yield from _dialects()
    yield from _cells()
    yield from _columns()


def _table(rows: Sequence[Sequence[Any]], encoding: str = "utf-8", **dialect: Any) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, **{"lineterminator": "\n", **dialect}).writerows(rows)
    return stream.getvalue().encode(encoding)


def _labeled(name: str, content: bytes, *expected: Outcome, list_name: str = "list.csv", **body: Any) -> DatasetInput:
    return list_input(
        name, list_name, content, *(expected or (_LABELED,)), **{"role": "labeled", "kind": _KIND, **body}
    )


_BOTH = [["path", "label"], *zip(_NAMES, _LABELS, strict=True)]


def _heads() -> Iterator[DatasetInput]:
    one = _table([[name] for name in _NAMES])
    asked = Refused(says=("head|first (row|line)",))
    yield list_input("one column without a head", "list.csv", one, _ALL, asked, kind=_KIND)
    yield list_input("one column without a head, tsv", "list.tsv", one, _ALL, asked, kind=_KIND)
    yield list_input("one column with a head", "list.csv", b"path\n" + one, _ALL, kind=_KIND)
    yield list_input("one column with an unknown head", "list.csv", b"photograph\n" + one, _ALL, asked, kind=_KIND)
    yield list_input(
        "one absolute column without a head",
        "list.csv",
        lambda folder: _table([[folder / name] for name in _NAMES]),
        _ALL,
        asked,
        kind=_KIND,
    )
    yield _labeled("two columns without a head", _table(_BOTH[1:]), _LABELED, Refused(says=("head|column",)))
    headless = _table([[name, row] for row, name in enumerate(_NAMES)])
    yield list_input(
        "place and number without a head", "list.csv", headless, _ALL, Refused(says=("head|column",)), kind=_KIND
    )
    yield _labeled("a head alone", b"path,label\n", Refused(says=("no URI|empty|no entr|no row",)))
    for names in (
        ("image", "class"),
        ("filepath", "category"),
        ("file", "target"),
        ("Path", "Label"),
        ("IMAGE", "LABEL"),
        ("image_id", "breed"),
        ("filename", "labels"),
        ("img_path", "class_id"),
        ("image_name", "y"),
    ):
        content = _table([names, *_BOTH[1:]])
        yield _labeled(f"columns {', '.join(names)}", content, _LABELED, Refused(says=("column",)))
    chosen = {"image_column": "where", "label_column": "what"}
    yield _labeled("columns that are named", _table([["what", "where"], *((b, a) for a, b in _BOTH[1:])]), **chosen)
    yield _labeled(
        "a head twice",
        _table([["path", "label", "label"], *((a, b, "x") for a, b in _BOTH[1:])]),
        Refused(says=("label|same name|twice",)),
    )
    yield _labeled("a head with spaces", _table([["path ", " label"], *_BOTH[1:]]), _LABELED, Refused(says=("column",)))
    yield _labeled(
        "a head in the middle too",
        _table([*_BOTH, ["path", "label"]]),
        Accepted((*_LABELED.rows, Row("label", b""))),
        Refused(says=("26|head|label|class",)),
    )
    indexed = [["", "path", "label"], *((row, *pair) for row, pair in enumerate(_BOTH[1:]))]
    yield _labeled("an index without a name, by pandas", _table(indexed))


def _dialects() -> Iterator[DatasetInput]:
    yield _labeled("all fields quoted", _table(_BOTH, quoting=csv.QUOTE_ALL))
    yield _labeled("texts quoted", _table(_BOTH, quoting=csv.QUOTE_NONNUMERIC))
    yield _labeled("CRLF", _table(_BOTH, lineterminator="\r\n"))
    yield _labeled("old Mac line ends", _table(_BOTH, lineterminator="\r"))
    yield _labeled("a BOM", _table(_BOTH, encoding="utf-8-sig"))
    yield _labeled("a BOM and quotes", _table(_BOTH, encoding="utf-8-sig", quoting=csv.QUOTE_ALL))
    refused = Refused(says=("UTF-8|UTF-16|encod",))
    yield _labeled("UTF-16", _table(_BOTH, encoding="utf-16"), _LABELED, refused)
    yield _labeled(
        "UTF-16 without BOM",
        _table(_BOTH, encoding="utf-16-le"),
        _LABELED,
        refused,
        Refused(says=("NUL|column|character",)),
    )
    semicolons = _table(_BOTH, delimiter=";")
    yield _labeled("semicolons", semicolons, _LABELED, Refused(says=("semicolon|;|separat|delimit",)))
    yield _labeled("tabs in a .csv", _table(_BOTH, delimiter="\t"), _LABELED, Refused(says=("tab|separat|delimit",)))
    yield _labeled("bars", _table(_BOTH, delimiter="|"), _LABELED, Refused(says=(r"\||separat|delimit|column",)))
    yield _labeled("tsv", _table(_BOTH, delimiter="\t"), list_name="list.tsv")
    yield _labeled(
        "commas in a .tsv",
        _table(_BOTH),
        _LABELED,
        Refused(says=("comma|separat|delimit|column",)),
        list_name="list.tsv",
    )
    yield _labeled("a sep= line of Excel", b"sep=,\n" + _table(_BOTH), _LABELED, Refused(says=("sep=|column|head",)))
    yield _labeled("a comment first", b"# exported\n" + _table(_BOTH), _LABELED, Refused(says=("#|column|field",)))
    yield _labeled("blank lines", _table([row for pair in _BOTH for row in (pair, [])]))
    yield _labeled("commas behind", _table([[*pair, ""] for pair in _BOTH]), _LABELED, Refused(says=("column|head",)))
    yield _labeled("no last newline", _table(_BOTH).rstrip(b"\n"))
    spaces = b"path, label\n" + b"".join(f"{a}, {b}\n".encode() for a, b in _BOTH[1:])
    yield _labeled("spaces behind commas", spaces, _LABELED, Refused(says=("column",)))
    excel = _table(_BOTH, encoding="cp1252").replace(b"cat", b"Ara\xe9")
    yield _labeled("Windows' own encoding", excel, Refused(says=("UTF-8",)))


def _cells() -> Iterator[DatasetInput]:
    def changed(row: int, *cells: object) -> bytes:
        return _table([list(cells) if place == row else pair for place, pair in enumerate(_BOTH)])

    kind = {"kind": "cells"}
    where = Refused(says=(r"\b1[89]\b|row 17|line 17",))
    for name, cells in {
        "a row with one field": (_NAMES[16],),
        "a row with three fields": (_NAMES[16], "cat", "x"),
        "an empty label": (_NAMES[16], ""),
        "a blank label": (_NAMES[16], "   "),
        "an empty place": ("", "cat"),
        "an escape in a label": (_NAMES[16], "\x1b[31mcat"),
        "a newline in a label": (_NAMES[16], "ca\nt"),
        "a NUL in a label": (_NAMES[16], "c\0t"),
        "a C1 control in a label": (_NAMES[16], "c\x9bt"),
    }.items():
        yield _labeled(name, changed(17, *cells), where, **kind)
    yield _labeled(
        "a quote that stays open",
        _table(_BOTH[:18]) + b'"pictures/17.jpg,cat\n',
        Refused(says=("quot|18|19|EOF|end",)),
        **kind,
    )
    yield _labeled(
        "the label -1",
        changed(17, _NAMES[16], "-1"),
        Accepted(
            tuple(Row("-1" if row == 16 else each.label, each.content) for row, each in enumerate(_LABELED.rows)),
            says=("-1",),
        ),
        Refused(says=("-1",)),
        **kind,
    )
    unknown = Accepted(tuple(Row("-1" if row % 4 == 0 else "1", photo(row)) for row in range(24)), says=("-1",))
    minus = _table([["path", "label"], *((name, -1 if row % 4 == 0 else 1) for row, name in enumerate(_NAMES))])
    yield _labeled("many labels are -1", minus, unknown, Refused(says=("-1",)), **kind)
    floats = _table([["path", "label"], *((name, f"{row % 2}.0") for row, name in enumerate(_NAMES))])
    as_written = Accepted(tuple(Row(f"{row % 2}.0", photo(row)) for row in range(24)))
    as_numbers = Accepted(tuple(Row(f"{row % 2}", photo(row)) for row in range(24)))
    yield _labeled(
        "labels 0.0 and 1.0, by pandas", floats, as_written, as_numbers, Refused(says=(r"0\.0|whole",)), **kind
    )
    for word in ("nan", "NULL", "None", "N/A"):
        rows = Accepted(
            tuple(Row(word if row == 16 else each.label, each.content) for row, each in enumerate(_LABELED.rows))
        )
        yield _labeled(f"the label {word}", changed(17, _NAMES[16], word), rows, where, **kind)
    twice = _table([*_BOTH, [_NAMES[0], "cat"]])
    said = Accepted((*_LABELED.rows, Row("cat", photo(0))), says=("label|class",))
    yield _labeled("one place with two labels", twice, said, Refused(says=("label|class|twice",)), **kind)
    cases = _table([["path", "label"], *((name, ("Cat", "cat", "dog")[row % 3]) for row, name in enumerate(_NAMES))])
    rows = Accepted(tuple(Row(("Cat", "cat", "dog")[row % 3], photo(row)) for row in range(24)))
    yield _labeled("classes that differ in case", cases, rows, Refused(says=("case|cat",)), **kind)


def _columns() -> Iterator[DatasetInput]:
    yield _labeled(
        "no label column",
        _table([[name] for name in ("path", *_NAMES)]),
        Refused(says=("label",), field="label_column"),
    )
    one = _table([["path", "label"], *((name, "cat") for name in _NAMES)])
    yield _labeled("one class", one, Refused(says=("class",)))
    yield _labeled(
        "classes that are given",
        _table(_BOTH),
        Accepted(_LABELED.rows, classes=("cat", "dog", "emu")),
        classes=["cat", "dog", "emu"],
    )
    yield _labeled(
        "too few classes given", _table(_BOTH), Refused(says=("label",), field="classes"), classes=["cat", "emu"]
    )
    yield _labeled("an empty class given", _table(_BOTH), Refused(), classes=["cat", "dog", ""])
    yield _labeled("a class given twice", _table(_BOTH), Refused(says=("cat",)), classes=["cat", "dog", "cat"])
    yield _labeled("a control in a class given", _table(_BOTH), Refused(), classes=["cat", "dog", "e\x1bmu"])
    keyed = _table([["id", "path", "label"], *((f"k{row}", *pair) for row, pair in enumerate(_BOTH[1:]))])
    yield _labeled("keys", keyed, key_column="id")
    yield _labeled(
        "a key column that is not there", _table(_BOTH), Refused(says=("key",), field="key_column"), key_column="key"
    )
    yield _labeled(
        "an image column that is not there", _table(_BOTH), Refused(field="image_column"), image_column="nope"
    )
    yield _labeled("an empty column name", _table(_BOTH), Refused(), image_column="")
