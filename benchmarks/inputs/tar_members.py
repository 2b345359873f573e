"""The members of tar files: labels of every kind, every suffix, links, names."""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.inputs.expectations import Accepted, AnyRows, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.small_tars import LABELED_TAR, LABELS, tar_of
from benchmarks.inputs.trees import tree

_ALL = Accepted(tuple(Row(label, photo(row)) for row, label in enumerate(LABELS)))
_POOL = Accepted(tuple(Row(None, photo(row)) for row in range(len(LABELS))))


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _labels()
    yield from _members()


def _input(name: str, data: bytes, *expected: Outcome, **body: Any) -> DatasetInput:
    return DatasetInput(name, body.pop("kind"), tree({"a.tar": data}, **body), expected or (_ALL,))


def _labels() -> Iterator[DatasetInput]:
    kind = {"kind": "labels in tars"}

    def with_labels(write_label: Callable[[str], bytes], suffix: str = "cls") -> bytes:
        return tar_of(
            {
                f"{row:03d}.{end}": content
                for row in range(6)
                for end, content in (("jpg", photo(row)), (suffix, write_label(LABELS[row])))
            }
        )

    for name, written in {
        "with a newline": lambda label: f"{label}\n".encode(),
        "with CRLF": lambda label: f"{label}\r\n".encode(),
        "with a BOM": lambda label: f"\ufeff{label}".encode(),
        "with a BOM and a newline": lambda label: f"\ufeff{label}\n".encode(),
        "with spaces": lambda label: f"  {label} ".encode(),
    }.items():
        yield _input(f"labels {name}", with_labels(written), **kind)
    numbers = Accepted(tuple(Row({"cat": "0", "dog": "1"}[row.label or ""], row.content) for row in _ALL.rows))
    yield _input(
        "labels that are numbers", with_labels(lambda label: b"0" if label == "cat" else b"1"), numbers, **kind
    )
    refused = Refused(says=("00[01]|label",))
    for name, written in {
        "of two lines": lambda label: f"{label}\nother\n".encode(),
        "in UTF-16": lambda label: label.encode("utf-16"),
        "with an escape": lambda label: f"\x1b[31m{label}".encode(),
        "with a NUL": lambda label: f"{label}\0".encode(),
        "that are pickles": lambda label: b"\x80\x04K\x01.",
        "that are empty": lambda label: b"",
        "of a megabyte": lambda label: label.encode() * (1 << 18),
        "that are no UTF-8": lambda label: b"caf\xe9" + label.encode(),
    }.items():
        lenient = (
            (AnyRows(6),) if name == "that are no UTF-8" else (_ALL,) if name in ("in UTF-16", "with a NUL") else ()
        )
        yield _input(f"labels {name}", with_labels(written), refused, *lenient, **kind)
    says = ("json|cls|label",)
    for name, written in {
        "label": lambda label: b'{"label": "%s"}' % label.encode(),
        "cls": lambda label: b'{"cls": "%s"}' % label.encode(),
        "class": lambda label: b'{"class": "%s", "width": 48}' % label.encode(),
        "a text": lambda label: b'"%s"' % label.encode(),
        "a caption": lambda label: b'{"caption": "a %s"}' % label.encode(),
        "a list": lambda label: b'["%s"]' % label.encode(),
        "broken": lambda label: b"{label: cat",
        "an object": lambda label: b'{"label": {"name": "%s"}}' % label.encode(),
    }.items():
        lenient = (_ALL,) if name in ("label", "cls", "class", "a text") else ()
        yield _input(
            f"json labels: {name}",
            with_labels(written, "json"),
            Refused(says=says, never=("truncated",)),
            *lenient,
            **kind,
        )
    yield _input("labels in .txt", with_labels(str.encode, "txt"), _ALL, Refused(says=("cls|label",)), **kind)
    yield _input("labels in .label", with_labels(str.encode, "label"), _ALL, Refused(says=("cls|label",)), **kind)
    yield _input("labels in .CLS", with_labels(str.encode, "CLS"), **kind)
    yield _input("labels in .cls.txt", with_labels(str.encode, "cls.txt"), _ALL, Refused(says=("cls|label",)), **kind)
    before = {
        f"{row:03d}.{end}": content
        for row in range(6)
        for end, content in (("cls", LABELS[row].encode()), ("jpg", photo(row)))
    }
    yield _input("labels before their images", tar_of(before), **kind)
    apart = dict(sorted(LABELED_TAR.items(), key=lambda item: item[0].rpartition(".")[2]))
    yield _input("all labels first", tar_of(apart), _ALL, Refused(says=("label|order|side|sort",)), **kind)
    images_first = dict(sorted(LABELED_TAR.items(), key=lambda item: item[0].rpartition(".")[2], reverse=True))
    yield _input("all images first", tar_of(images_first), _ALL, Refused(says=("label|order|side|sort",)), **kind)
    one_lacks = {name: content for name, content in LABELED_TAR.items() if name != "003.cls"}
    yield _input("one without a label", tar_of(one_lacks), Refused(says=("003",)), **kind)
    by_folder = {f"{LABELS[row]}/{row:03d}.jpg": photo(row) for row in range(6)}
    yield _input("class folders in a tar", tar_of(by_folder), _ALL, Refused(says=("cls|label|folder",)), **kind)


def _members() -> Iterator[DatasetInput]:
    def pool(
        name: str, files: Mapping[str, bytes], *expected: Outcome, tar_format: int = tarfile.PAX_FORMAT
    ) -> DatasetInput:
        return _input(name, tar_of(files, tar_format), *(expected or (_POOL,)), kind="members", role="unlabeled")

    plain = {f"{row:03d}.jpg": photo(row) for row in range(6)}
    for suffix, image_format in {
        "jfif": "JPEG",
        "JPG": "JPEG",
        "jpeg": "JPEG",
        "avif": "AVIF",
        "ppm": "PPM",
        "jp2": "JPEG2000",
        "webp": "WEBP",
        "tif": "TIFF",
        "img": "JPEG",
        "bin": "JPEG",
    }.items():
        rows = Accepted(tuple(Row(None, photo(row, image_format)) for row in range(6)))
        said = Refused(says=(f"{suffix}|no images|image",))
        yield pool(
            f"images called .{suffix}",
            {f"{row:03d}.{suffix}": photo(row, image_format) for row in range(6)},
            rows,
            said,
        )
    bare = Accepted(_POOL.rows)
    yield pool(
        "images without suffix", {f"{row:03d}": photo(row) for row in range(6)}, bare, Refused(says=("image|suffix",))
    )
    yield pool("names with several dots", {f"photo.v{row}.jpg": photo(row) for row in range(6)})
    yield pool(
        "the same name twice",
        plain | {"./000.jpg": photo(0)},
        Accepted((*_POOL.rows, _POOL.rows[0])),
        _POOL,
        Refused(says=("000",)),
    )
    yield pool(
        "json and text beside",
        {
            f"{row:03d}.{end}": content
            for row in range(6)
            for end, content in (("jpg", photo(row)), ("json", b"{}"), ("txt", b"a caption"))
        },
    )
    yield pool(
        "two images a sample",
        {
            f"{row:03d}.{end}": content
            for row in range(6)
            for end, content in (("jpg", photo(row)), ("seg.png", photo(row, "PNG")))
        },
    )
    yield pool(
        "an empty image", {**dict(list(plain.items())[:5]), "005.jpg": b""}, Accepted((*_POOL.rows[:5], Row(None, b"")))
    )
    yield pool("an escape in a name", {**plain, "\x1b[31m006.jpg": photo(6)}, Refused(), AnyRows(7))
    yield pool("only texts", {"a.txt": b"a", "b.txt": b"b"}, Refused(says=("no images|no image",)))
    raw = _input(
        "latin-1 names",
        _raw_names(),
        Refused(),
        Accepted((Row(None, photo(0)), Row(None, photo(1)))),
        kind="members",
        role="unlabeled",
    )
    yield raw
    for name, link in {"a hard link": tarfile.LNKTYPE, "a symbolic link": tarfile.SYMTYPE}.items():
        for target, followed in {
            "000.jpg": (*_POOL.rows, _POOL.rows[0]),
            "/etc/passwd": (*_POOL.rows, Row(None, b"")),
            "006.jpg": (*_POOL.rows, Row(None, b"")),
            "../../x.jpg": (*_POOL.rows, Row(None, b"")),
        }.items():
            yield _input(
                f"{name} to {target}",
                _with_special(plain, link, target),
                Accepted(followed),
                Accepted(_POOL.rows, says=("link|1",)),
                Refused(says=("link|006",)),
                kind="members",
                role="unlabeled",
            )
    for name, kind in {"a fifo": tarfile.FIFOTYPE, "a device": tarfile.CHRTYPE}.items():
        yield _input(
            f"{name} called .jpg",
            _with_special(plain, kind, ""),
            _POOL,
            Accepted((*_POOL.rows, Row(None, b""))),
            Refused(says=("006",)),
            kind="members",
            role="unlabeled",
        )


def _raw_names() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for row, name in enumerate(("caf\u00e9.jpg", "th\u00e9.jpg")):
            info = tarfile.TarInfo(name)
            info.size = len(photo(row))
            tar.addfile(info, io.BytesIO(photo(row)))
    return stream.getvalue()


def _with_special(files: Mapping[str, bytes], kind: bytes, target: str) -> bytes:
    stream = io.BytesIO(tar_of(files))
    with tarfile.open(fileobj=stream, mode="a") as tar:
        info = tarfile.TarInfo("006.jpg")
        info.type, info.linkname = kind, target
        tar.addfile(info)
    return stream.getvalue()
