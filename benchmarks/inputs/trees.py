"""Writes trees of files: a mapping of names to contents becomes a folder, or objects in a bucket."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.inputs.expectations import Body, Row
from benchmarks.inputs.made_pictures import photo

Files = Mapping[str, bytes]


def tree(files: Files, **body: Any) -> Callable[[Path], Body]:
    """A function that writes the files to a folder and returns the body of the POST."""

    def make(folder: Path) -> Body:
        write(folder, files)
        return body

    return make


def write(folder: Path, files: Files) -> None:
    """Writes the files. Names that end in a slash become empty folders. Surrogates stand for bytes not in UTF-8."""
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
    """Files of `each` JPEGs per class, all different."""
    return {
        f"{name}/{row}{suffix}": photo(first + place * each + row)
        for place, name in enumerate(classes)
        for row in range(each)
    }


def labeled_rows(files: Files) -> tuple[Row, ...]:
    """The rows of a labeled image folder with these files. The first level of the path is the class."""
    return tuple(Row(name.partition("/")[0], content) for name, content in files.items() if not name.endswith("/"))


def unlabeled_rows(files: Files) -> tuple[Row, ...]:
    """The rows of an unlabeled image folder with these files."""
    return tuple(Row(None, content) for name, content in files.items() if not name.endswith("/"))
