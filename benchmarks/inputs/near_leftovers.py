"""Names that look like leftovers but are data. No class and no row of them may be lost silently."""

from collections.abc import Iterator

from benchmarks.inputs.expectations import Accepted, DatasetInput, Row
from benchmarks.inputs.made_pictures import photo, photos
from benchmarks.inputs.small_parquet import parquet
from benchmarks.inputs.small_tars import tar_of
from benchmarks.inputs.trees import class_folders, labeled_rows, tree, unlabeled_rows

_KIND = "near leftovers"
_BASE = class_folders()
_CLASSES = (
    *("_background_noise_", "_unknown", "_cats", "#cats", "@cats", "~cats", "$cats", "BACKGROUND_Google", "tmp"),
    *("cache", "thumbs", "thumbnails", "trash", "recycle", "lost", "found", "backup", "snapshot", "system", "delta"),
    *("success", "metadata", "hidden", "part-0", "label=cat", "spark", "eaDir", "MACOSX", "checkpoint", "0", "-1"),
    *("desktop", "cat.jpg", "dog.tar", "emu.parquet", "list.csv", "nan", "None", "true", "CON", "aux", "temp", "1.5"),
)
_FILES = (
    *("_0001.jpg", "__a.jpg", "#1.jpg", "@1.jpg", "~1.jpg", "$1.jpg", "-1.jpg", "1 (copy).jpg", "Thumbs.jpg"),
    *("1.tmp.jpg", "part-0.jpg", "_SUCCESS.jpg", "desktop.jpg", "1.bak.jpg", "a.tar.jpg", "a.parquet.jpg"),
    *("1..jpg", "%31.jpg", "1.jpg.jpg"),
)
_PARTS = (
    *("_part-1", "part-1_temporary", "tmp", "temporary/part-1", "_data/part-1", "#part", "success", "metadata"),
    *("1.tmp",),
)


def inputs() -> Iterator[DatasetInput]:
    """Yields all inputs of this module."""
    for name in _CLASSES:
        files = _BASE | {f"{name}/{row}.jpg": photo(70 + row) for row in range(2)}
        said = Accepted(labeled_rows(_BASE), says=(r"passed over|left out",))
        # -1 often means that there is no class.
        whole = Accepted(labeled_rows(files), says=("-1",) if name == "-1" else ())
        yield DatasetInput(f"a class called {name}", _KIND, tree(files), (whole, said))
    for name in (".cats", "..cats", ".1"):
        files = _BASE | {f"{name}/{row}.jpg": photo(70 + row) for row in range(2)}
        said = Accepted(labeled_rows(_BASE), says=(r"hidden|dot|passed over|left out|\.cats|\.1",))
        yield DatasetInput(f"a hidden class {name}", _KIND, tree(files), (said, Accepted(labeled_rows(files))))
    for name in _FILES:
        files = _BASE | {f"cat/{name}": photo(75)}
        yield DatasetInput(f"a picture called {name}", _KIND, tree(files), (Accepted(labeled_rows(files)),))
        pool = {"a.jpg": photo(0), name: photo(75)}
        yield DatasetInput(
            f"a pool with {name}", _KIND, tree(pool, role="unlabeled"), (Accepted(unlabeled_rows(pool)),)
        )
    yield from _tables()


def _tables() -> Iterator[DatasetInput]:
    rows = Accepted(tuple(Row(None, content) for content in photos(4)))
    halves = parquet(photos(2), None), parquet(photos(2, 2), None)
    tars = tuple(tar_of({f"{row}.jpg": photo(row) for row in part}) for part in ((0, 1), (2, 3)))
    said = Accepted(rows.rows[:2], says=("passed over|left out",))
    for name in _PARTS:
        for suffix, (first, second) in (("parquet", halves), ("tar", tars)):
            files = {f"part-0.{suffix}": first, f"{name}.{suffix}": second}
            make = tree(files, role="unlabeled")
            yield DatasetInput(f"a file {name}.{suffix}", _KIND, make, (rows, said))
    for name in ("_a", "#a", "@a", "~a"):
        members = {
            "0.jpg": photo(0),
            f"{name}.jpg": photo(1),
            f"folder/{name}2.jpg": photo(2),
            f"{name}/3.jpg": photo(3),
        }
        make = tree({"a.tar": tar_of(members)}, role="unlabeled")
        yield DatasetInput(f"members {name} of a tar", _KIND, make, (rows,))
