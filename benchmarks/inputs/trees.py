"""Folders of files as makers write them: a mapping of names to contents becomes a folder, or objects in a bucket."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.inputs.expectations import Body, Row
from benchmarks.inputs.made_pictures import photo

Files = Mapping[str, bytes]


def tree(files: Files, **body: Any) -> Callable[[Path], Body]:
    """Writes the files below the folder; `body` is the POST's."""

    def make(folder: Path) -> Body:
        write(folder, files)
        return body

    return make


def write(folder: Path, files: Files) -> None:
    """Names that end in a slash become empty folders. A name may hold bytes that are no UTF-8, as surrogates."""
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.fsencode(path), "wb") as file:
            file.write(content)


def class_folders(
    classes: Iterable[str] = ("cat", "dog"), each: int = 3, suffix: str = ".jpg", first: int = 0
) -> dict[str, bytes]:
    """`each` JPEGs a class, all different."""
    return {
        f"{name}/{row}{suffix}": photo(first + place * each + row)
        for place, name in enumerate(classes)
        for row in range(each)
    }


def labeled_rows(files: Files) -> tuple[Row, ...]:
    """What a labeled image folder of these files holds: the first level is the class."""
    return tuple(Row(name.partition("/")[0], content) for name, content in files.items() if not name.endswith("/"))


def unlabeled_rows(files: Files) -> tuple[Row, ...]:
    """The same without labels."""
    return tuple(Row(None, content) for name, content in files.items() if not name.endswith("/"))
