"""Files that file systems, cameras, sync tools and engines leave next to images. They are never a class nor a row."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.inputs.expectations import Accepted, Body, DatasetInput, Refused, Row
from benchmarks.inputs.made_pictures import photo, photos
from benchmarks.inputs.small_parquet import parquet
from benchmarks.inputs.small_tars import tar_of
from benchmarks.inputs.trees import Files, class_folders, labeled_rows, tree, write

_KIND = "leftovers"
_BASE = class_folders()
_THUMBNAIL = photo(90)
BESIDE_PICTURES: dict[str, dict[str, bytes]] = {
    "Synology's @eaDir": {"@eaDir/SYNO.jpg": _THUMBNAIL, "cat/@eaDir/0.jpg/SYNOPHOTO_THUMB_M.jpg": _THUMBNAIL},
    "Synology's #recycle": {"#recycle/old.jpg": _THUMBNAIL},
    "Synology's @tmp": {"@tmp/x.jpg": _THUMBNAIL},
    "the recycle bin of Windows": {"$RECYCLE.BIN/S-1-5/a.jpg": _THUMBNAIL, "$RECYCLE.BIN/desktop.ini": b"[x]"},
    "System Volume Information": {"System Volume Information/a.jpg": _THUMBNAIL},
    "lost+found": {"lost+found/": b""},
    "lost+found with a file": {"lost+found/#12345.jpg": _THUMBNAIL},
    "Thumbs.db": {"cat/Thumbs.db": b"\xd0\xcf\x11\xe0", "Thumbs.db": b"\xd0\xcf\x11\xe0"},
    "desktop.ini": {"cat/desktop.ini": b"[.ShellClassInfo]", "desktop.ini": b"[.ShellClassInfo]"},
    "the Finder's .DS_Store": {".DS_Store": b"\0\0\0\x01Bud1", "cat/.DS_Store": b"\0\0\0\x01Bud1"},
    "AppleDouble files": {"cat/._0.jpg": b"\0\x05\x16\x07" + bytes(99), "._cat": b"\0\x05\x16\x07" + bytes(99)},
    "__MACOSX": {"__MACOSX/cat/._0.jpg": b"\0\x05\x16\x07" + bytes(99)},
    "__MACOSX with pictures": {"__MACOSX/cat/0.jpg": _THUMBNAIL},
    "macOS's trash": {".Trashes/501/a.jpg": _THUMBNAIL, ".Spotlight-V100/x.jpg": _THUMBNAIL},
    "the trash of Linux": {".Trash-1000/files/a.jpg": _THUMBNAIL},
    "a jupyter checkpoint": {".ipynb_checkpoints/0.jpg": _THUMBNAIL, "cat/.ipynb_checkpoints/1.jpg": _THUMBNAIL},
    "a python cache": {"__pycache__/a.cpython-311.pyc": b"x"},
    "a git folder": {".git/objects/ab/cd.jpg": _THUMBNAIL},
    "snapshots of a filer": {".snapshot/hourly/cat/0.jpg": _THUMBNAIL, "~snapshot/daily/cat/1.jpg": _THUMBNAIL},
    "a dropbox cache": {".dropbox.cache/x.jpg": _THUMBNAIL, "cat/.dropbox": b"x"},
    "picasa's files": {"cat/.picasa.ini": b"[x]", ".picasaoriginals/0.jpg": _THUMBNAIL},
    "an nfs leftover": {"cat/.nfs000000000001": _THUMBNAIL},
    "rsync's unfinished file": {"cat/.0.jpg.Xa81k2": _THUMBNAIL[:100]},
    "a browser's unfinished download": {"cat/9.jpg.crdownload": _THUMBNAIL[:50], "cat/8.jpg.part": _THUMBNAIL[:50]},
    "an editor's backup": {"cat/0.jpg~": _THUMBNAIL},
    "an office lock": {"cat/~$notes.docx": b"x"},
}
BESIDE_PARQUET: dict[str, dict[str, bytes]] = {
    "_SUCCESS": {"_SUCCESS": b""},
    "_committed and _started of Databricks": {"_committed_123": b"{}", "_started_123": b""},
    "Spark's _temporary": {"_temporary/0/_temporary/attempt_1/part-1.parquet": parquet(photos(2, 70), None)},
    "Spark's _temporary/0": {"_temporary/0/part-1.parquet": parquet(photos(2, 70), None)},
    "Hive's staging": {".hive-staging_hive_1/-ext-10000/part-1.parquet": parquet(photos(2, 70), None)},
    "Hive's staging without dot": {"_hive-staging/part-1.parquet": parquet(photos(2, 70), None)},
    "_metadata": {"_metadata": b"PAR1" + bytes(8) + b"PAR1", "_common_metadata": b"PAR1"},
    "crc files": {".part-0.parquet.crc": b"crc\0"},
    "the Delta log": {
        "_delta_log/00000000000000000000.json": b"{}",
        "_delta_log/00000000000000000010.checkpoint.parquet": parquet(photos(2, 70), None),
    },
    "a Hudi folder": {".hoodie/hoodie.properties": b"x=1", ".hoodie/metadata/a.parquet": parquet(photos(1, 70), None)},
    "Spark's streaming log": {"_spark_metadata/0": b"v1"},
    "an impala folder": {"_impala_insert_staging/a/x.parquet": parquet(photos(1, 70), None)},
}


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module: in folders of images, of Parquet files and of tars, and in lists."""
    for name, extra in BESIDE_PICTURES.items():
        files = _BASE | extra
        yield DatasetInput(name, _KIND, tree(files), (Accepted(labeled_rows(_BASE)),))
    yield from _beside_parquet()
    yield from _beside_tars()
    yield DatasetInput("a Delta table with a removed file", _KIND, _delta, (_of(photos(4)), Refused(says=("delta",))))
    yield from _links()


def _of(contents: tuple[bytes, ...]) -> Accepted:
    return Accepted(tuple(Row(None, content) for content in contents))


def _beside_parquet() -> Iterator[DatasetInput]:
    rows = {"part-0.parquet": parquet(photos(2), None), "part-1.parquet": parquet(photos(2, 2), None)}
    macos = {
        "._part-0.parquet": b"\0\x05\x16\x07" + bytes(99),
        "@eaDir/part-0.parquet/x.jpg": _THUMBNAIL,
        "__MACOSX/._part-0.parquet": b"\0\x05\x16\x07",
    }
    for name, extra in (BESIDE_PARQUET | {"what a Mac and a filer leave": macos}).items():
        make = tree(rows | extra, role="unlabeled")
        yield DatasetInput(f"{name} beside Parquet", _KIND, make, (_of(photos(4)),))


def _beside_tars() -> Iterator[DatasetInput]:
    tars = {"a-0.tar": tar_of({f"{row}.jpg": photo(row) for row in range(3)})}
    for name, extra in {
        "an AppleDouble tar": {"._a-0.tar": b"\0\x05\x16\x07" + bytes(99)},
        "Synology's folder": {"@eaDir/a-0.tar": tars["a-0.tar"]},
        "Spark's folder": {"_temporary/0/a-1.tar": tars["a-0.tar"], "_SUCCESS": b""},
    }.items():
        yield DatasetInput(f"{name} beside tars", _KIND, tree(tars | extra, role="unlabeled"), (_of(photos(3)),))
    mac: Files = {
        "._0.jpg": b"\0\x05\x16\x07" + bytes(99),
        "0.jpg": photo(0),
        "__MACOSX/._1.jpg": b"\0\x05\x16\x07",
        "1.jpg": photo(1),
        "@eaDir/1.jpg": _THUMBNAIL,
        "./._2.jpg": b"\0\x05\x16\x07",
        "./2.jpg": photo(2),
    }
    make = tree({"a.tar": tar_of(mac)}, role="unlabeled")
    yield DatasetInput("leftovers within a tar", _KIND, make, (_of(photos(3)),))


def _delta(folder: Path) -> Body:
    write(folder, {"part-0.parquet": parquet(photos(2), None), "part-1.parquet": parquet(photos(2, 2), None)})
    write(folder, {"part-old.parquet": parquet(photos(2, 60), None)})
    log = b'{"add": {"path": "part-0.parquet"}}\n{"add": {"path": "part-old.parquet"}}\n'
    write(folder, {"_delta_log/00000000000000000000.json": log})
    change = b'{"remove": {"path": "part-old.parquet"}}\n{"add": {"path": "part-1.parquet"}}\n'
    write(folder, {"_delta_log/00000000000000000001.json": change})
    return {"role": "unlabeled"}


def _links() -> Iterator[DatasetInput]:
    once = (Accepted(labeled_rows(_BASE)),)
    for name, target in {"itself": "loop", "its parent": "..", "its folder": ".", "nothing": "absent"}.items():
        expected = once if name != "nothing" else (*once, Accepted((*labeled_rows(_BASE), Row("cat", b""))))
        yield DatasetInput(f"a link to {name}", "links", _linked("cat/loop", target), expected)
    yield DatasetInput(
        "a link to a class beside it", "links", _linked("dog/more", "../cat"), (*once, Refused(says=("link",)))
    )
    yield DatasetInput(
        "a class that is a link to another",
        "links",
        _linked("kitten", "cat"),
        (*once, Refused(says=("link|kitten",)), Accepted(labeled_rows(_BASE), says=("link",))),
    )
    yield DatasetInput("links in a ring", "links", _ring, once)
    elsewhere = Accepted((*labeled_rows(_BASE), *(Row("fox", photo(70 + row)) for row in range(3))))
    yield DatasetInput("a class that is a link to a folder elsewhere", "links", _class_elsewhere, (elsewhere,))
    yield DatasetInput("classes whose files are all links", "links", _all_links, once)
    outside = (*labeled_rows(_BASE), Row("cat", photo(77)))
    yield DatasetInput("a link to a file elsewhere", "links", _link_out, (Accepted(outside),))
    yield DatasetInput("a fifo among the images", "links", _fifo, (*once, Accepted(labeled_rows(_BASE), says=("1",))))


def _linked(name: str, target: str) -> Callable[[Path], Body]:
    def make(folder: Path) -> Body:
        write(folder, _BASE)
        os.symlink(target, folder / name)
        return {}

    return make


def _ring(folder: Path) -> Body:
    write(folder, _BASE)
    os.symlink("../dog", folder / "cat" / "other")
    os.symlink("../cat", folder / "dog" / "other")
    return {}


def _link_out(folder: Path) -> Body:
    write(folder / "data", _BASE)
    write(folder, {"elsewhere/77.jpg": photo(77)})
    os.symlink(folder / "elsewhere" / "77.jpg", folder / "data" / "cat" / "77.jpg")
    return {"uri": "data"}


def _class_elsewhere(folder: Path) -> Body:
    write(folder / "data", _BASE)
    write(folder / "foxes", {f"{row}.jpg": photo(70 + row) for row in range(3)})
    os.symlink("../foxes", folder / "data" / "fox")
    return {"uri": "data"}


def _all_links(folder: Path) -> Body:
    """A folder in which all files are links, as git-annex, DVC and the caches of model hubs make it."""
    for number, (name, content) in enumerate(_BASE.items()):
        write(folder / "blobs", {f"{number:064x}": content})
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(folder / "blobs" / f"{number:064x}", folder / "data" / name)
    return {"uri": "data"}


def _fifo(folder: Path) -> Body:
    write(folder, _BASE)
    os.mkfifo(folder / "cat" / "pipe.jpg")
    return {}
