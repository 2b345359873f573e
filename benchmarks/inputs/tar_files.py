"""Tar files by tar, WebDataset's writer and shells: every format, links, labels, concatenated or compressed files."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.inputs.expectations import Accepted, Body, DatasetInput, Outcome, Refused, Row
from benchmarks.inputs.made_pictures import photo
from benchmarks.inputs.small_tars import LABELED_TAR, LABELS, gnu_tar, tar_of
from benchmarks.inputs.trees import tree, write

_KIND = "tars"
_ALL = Accepted(tuple(Row(label, photo(row)) for row, label in enumerate(LABELS)))
_POOL = Accepted(tuple(Row(None, photo(row)) for row in range(6)))


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    yield from _formats()
    yield from _packed()
    yield from _damaged()


def _input(
    name: str, data: bytes, *expected: Outcome, file: str = "a.tar", kind: str = _KIND, **body: Any
) -> DatasetInput:
    return DatasetInput(name, kind, tree({file: data}, **body), expected or (_ALL,))


def _by_tar(
    name: str, options: tuple[str, ...], *expected: Outcome, files: Mapping[str, bytes] = LABELED_TAR, **body: Any
) -> DatasetInput:
    def make(folder: Path) -> Body:
        gnu_tar(folder, files, options)
        return body

    return DatasetInput(name, "tars by GNU tar", make, expected or (_ALL,), needs="tar")


def _formats() -> Iterator[DatasetInput]:
    for tar_format in ("v7", "oldgnu", "gnu", "ustar", "pax", "posix"):
        yield _by_tar(f"--format={tar_format}", (f"--format={tar_format}",))
        inner = {f"a folder/{name}": content for name, content in LABELED_TAR.items()}
        yield _by_tar(f"--format={tar_format} with folders", (f"--format={tar_format}",), files=inner)
    long = {f"{'deep/' * 30}{name}": content for name, content in LABELED_TAR.items()}
    for tar_format in ("gnu", "pax"):
        yield _by_tar(f"--format={tar_format} with long names", (f"--format={tar_format}",), files=long)
    umlauts = {f"B\u00e4r\u732b{name}": content for name, content in LABELED_TAR.items()}
    for tar_format in ("gnu", "pax", "ustar"):
        yield _by_tar(f"--format={tar_format} with umlauts", (f"--format={tar_format}",), files=umlauts)
    yield _by_tar("--sparse", ("--sparse",))
    for version in ("0.0", "0.1", "1.0"):
        holes = LABELED_TAR | {"002.jpg": photo(2) + bytes(200_000)}
        rows = Accepted(
            tuple(
                Row(row.label, row.content + bytes(200_000) if number == 2 else row.content)
                for number, row in enumerate(_ALL.rows)
            )
        )
        options = ("--format=pax", "--sparse", f"--sparse-version={version}", "--hole-detection=raw")
        yield _by_tar(f"sparse files, version {version}", options, rows, Refused(says=("sparse",)), files=holes)
    gnu_holes = ("--format=gnu", "--sparse", "--hole-detection=raw")
    yield _by_tar("sparse files of GNU", gnu_holes, rows, Refused(says=("sparse",)), files=holes)
    yield _by_tar("--blocking-factor=1", ("--blocking-factor=1",))
    yield _by_tar("--blocking-factor=2000", ("--blocking-factor=2000",))
    yield _by_tar("a label of the volume", ("--label=my pictures",))
    yield _by_tar("an owner of 2^31", ("--format=gnu", "--owner=a:3000000000"))
    yield _by_tar("times before 1970", ("--format=gnu", "--mtime=1960-01-01"))
    yield _by_tar("--absolute-names", ("--absolute-names", "--transform=s,^,/data/,"))
    yield _by_tar("names that begin with ./", ("--transform=s,^,./,",))
    yield _by_tar("names with ..", ("--absolute-names", "--transform=s,^,../,"), _ALL, Refused(says=(r"\.\.",)))
    yield _by_tar("extended attributes", ("--format=pax", "--pax-option=SCHILY.xattr.user.a:=b"))
    yield _by_tar("a global pax header", ("--format=pax", "--pax-option=globexthdr.name=/tmp/g,comment=hello"))
    yield _by_tar("an incremental archive", ("--format=gnu", "--incremental"))
    yield DatasetInput("a tar of the folder itself", "tars by GNU tar", _of_folder, (_ALL,), needs="tar")
    yield DatasetInput("appended by tar -r", "tars by GNU tar", _appended, (_ALL,), needs="tar")
    yield DatasetInput("joined by tar -A", "tars by GNU tar", _joined, (_ALL,), needs="tar")
    halves = [dict(list(LABELED_TAR.items())[:6]), dict(list(LABELED_TAR.items())[6:])]
    joined = b"".join(map(tar_of, halves))
    yield _input(
        "two tars after each other", joined, _ALL, Refused(says=("concatenat|after its end|more than one|another tar",))
    )
    for name in ("USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"):
        yield _input(f"by Python, {name}", tar_of(LABELED_TAR, getattr(tarfile, name)))


def _of_folder(folder: Path) -> Body:
    write(folder / "pets", LABELED_TAR)
    subprocess.run(["tar", "-cf", folder / "a.tar", "--sort=name", "-C", folder, "pets"], check=True)
    return {"uri": "a.tar"}


def _appended(folder: Path) -> Body:
    names = list(LABELED_TAR.items())
    path = gnu_tar(folder, dict(names[:6]), ())
    source = folder.parent / "more"
    write(source, dict(names[6:]))
    subprocess.run(["tar", "-rf", path, *dict(names[6:])], cwd=source, check=True)
    return {}


def _joined(folder: Path) -> Body:
    names = list(LABELED_TAR.items())
    path = gnu_tar(folder, dict(names[:6]), ())
    more = gnu_tar(folder.parent / "other", dict(names[6:]), (), "b.tar")
    subprocess.run(["tar", "-Af", path, more], check=True)
    return {}


def _packed() -> Iterator[DatasetInput]:
    data = tar_of(LABELED_TAR)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in LABELED_TAR.items():
            archive.writestr(name, content)
    why = "compress|gzip|unpack|decompress|zip|bzip|xz|zst"
    packed: dict[str, bytes] = {
        "a.tar.gz": gzip.compress(data),
        "a.tgz": gzip.compress(data),
        "a.tar.bz2": bz2.compress(data),
        "a.tar.xz": lzma.compress(data),
        "a.zip": stream.getvalue(),
        "a.tar": gzip.compress(data),
        "a.tar.zst": b"\x28\xb5\x2f\xfd" + bytes(50),
        "a.7z": b"7z\xbc\xaf\x27\x1c" + bytes(50),
        "a.rar": b"Rar!\x1a\x07\x01\0" + bytes(50),
    }
    for name, content in packed.items():
        refused = Refused(says=(why,), never=("truncated",))
        kind = "packed"
        yield _input(f"{name} of {len(content)} bytes", content, _ALL, refused, file=name, kind=kind)
        yield _input(f"{name} itself", content, _ALL, refused, file=name, kind=kind, uri=name)
        yield _input(
            f"{name} as webdataset", content, _ALL, refused, file=name, kind=kind, uri=name, format="webdataset"
        )
    yield _input("a tar called .zip", data, _ALL, Refused(), file="a.zip", kind="packed")
    yield _input("a tar without suffix", data, _ALL, Refused(), file="shard-000", kind="packed")
    yield _input("a.TAR", data, _ALL, file="a.TAR", kind="packed")


def _damaged() -> Iterator[DatasetInput]:
    data = tar_of(LABELED_TAR)
    for name, content in {
        "half of it": data[: len(data) // 2],
        "cut within a header": data[:700],
        "without its end mark": data.rstrip(b"\0"),
        "zero bytes": b"",
        "only an end mark": bytes(10240),
        "a header's sum wrong": data[:150] + b"9" + data[151:],
        "a size beyond the file": data[:124] + b"77777777777\0" + data[136:],
        "a negative size": data[:124] + b"\xff" * 12 + data[136:],
        "an HTML page": b"<!DOCTYPE html>" * 99,
        "a git lfs pointer": b"version https://git-lfs.github.com/spec/v1\n",
    }.items():
        lenient = (_ALL,) if name == "without its end mark" else ()
        yield _input(f"damaged: {name}", content, Refused(says=(r"a\.tar",)), *lenient, kind="damaged tars")
    garbage = data + b"garbage" * 999
    yield _input("garbage behind the end mark", garbage, _ALL, Refused(says=(r"a\.tar",)), kind="damaged tars")
    yield DatasetInput(
        "a good and a broken tar",
        "damaged tars",
        tree({"a.tar": data, "b.tar": data[:3000]}),
        (Refused(says=(r"b\.tar",)),),
    )
    yield DatasetInput(
        "a tar that may not be read", "damaged tars", partial(_closed, data), (Refused(says=("permission|read",)), _ALL)
    )


def _closed(data: bytes, folder: Path) -> Body:
    write(folder, {"a.tar": data})
    os.chmod(folder / "a.tar", 0)
    return {}
