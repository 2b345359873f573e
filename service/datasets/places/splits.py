"""Recognizes folders and files that are named like splits of a dataset, and narrows a location down to one split."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.data.plain_values import shown
from workers.plain_uri import below

SplitKind = Literal["train", "validation", "test", "unlabeled"]

_SPLIT = re.compile(
    r"(the|my|images?|img|data)?(train(ing|val)?|val(id(ation)?)?|dev(elopment)?|eval(uation)?|test(ing)?|holdout"
    r"|unlabell?ed|labell?ed|unsup(ervised)?|extra)(set|split|data|images?|img|folder|dir)?\d*"
)
_KINDS: Mapping[str, SplitKind] = {
    **dict.fromkeys(("unlab", "unsup", "extra"), "unlabeled"),
    **dict.fromkeys(("train", "label"), "train"),
    **dict.fromkeys(("val", "dev"), "validation"),
    **dict.fromkeys(("test", "eval", "holdout"), "test"),
}
"""What the words of `_SPLIT` begin with, and what they stand for."""
_OF_A_FILE = re.compile(r"(.+?)[-_.]\d+(-?of-?\d+)?(-[0-9a-f]{16})?")
"""A numbered part of a split, as Hugging Face names them: train-00000-of-00002-0123456789abcdef."""


@dataclass(frozen=True)
class Split:
    """The files of a location that belong together, and how the location calls them."""

    name: str
    """A folder's name, or the beginning of files' names."""
    location: Location
    """The split's folder with its files; or the same folder, with the split's files only."""

    @property
    def kind(self) -> SplitKind | None:
        """What the name stands for."""
        return kind_of_split(self.name)


def splits_among(names: Iterable[str]) -> list[str]:
    """Returns the names that are words for a split, such as `Train` and `val2017`, sorted.

    If all names are one name combined with such words, such as `pets_train` and `pets_test`, it returns all of them.
    """
    listed = sorted(names)
    found = [name for name in listed if _is_split(name)]
    parts = [re.findall(r"[^\W_]+", name.lower()) for name in listed]
    rests = {tuple(part for part in each if not _is_split(part)) for each in parts}
    all_of_one = len(listed) > 1 and len(rests) == 1 and all(any(map(_is_split, each)) for each in parts)
    return listed if all_of_one else found


def _is_split(name: str) -> bool:
    return _SPLIT.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def kind_of_split(name: str) -> SplitKind | None:
    """What a split's name stands for: `Val2017` and `pets-dev` for validation. None if it is no word for a split."""
    for word in (name, *reversed(re.findall(r"[^\W_]+", name))):
        found = _SPLIT.fullmatch(re.sub(r"[^a-z0-9]", "", word.lower()))
        if found is not None:
            return next(kind for beginning, kind in _KINDS.items() if found[2].startswith(beginning))
    return None


def are_splits(names: Iterable[str]) -> bool:
    """Whether at least two of the names, or the only one, are words for splits. A single one of several may be a class,
    such as a train."""
    listed = list(names)
    found = len(splits_among(listed))
    return found >= 2 if len(listed) > 1 else found == 1


def splits_of_files(files: Iterable[FoundFile]) -> list[str]:
    """Returns the splits that files belong to, by folder (`test/0.parquet`) or by name (`test-0-of-2.parquet`)."""
    found: set[str] = set()
    for file in files:
        *folders, _ = file.name.split("/")
        found.update(splits_among([*folders[:1], *folders[-1:], stem_of(file)]))
    return sorted(found)


def stem_of(file: FoundFile) -> str:
    """The part of a file's name that all files of a split have in common: `train` of `train-00000-of-00002.parquet`."""
    stem = file.name.rpartition("/")[2].partition(".")[0]
    numbered = _OF_A_FILE.fullmatch(stem)
    return numbered[1] if numbered else stem


def in_split(location: Location, asked: str) -> Location:
    """Returns the location with only the files of the split `asked`.

    That is the highest folder of this name; if there are several, as below each class, all files in them. Else it is
    the files whose names begin so. Where no name is exactly `asked`, a word of the same meaning counts: `validation`
    finds `val`. Raises InvalidRequest if there is no such split, or more than one.
    """
    if location.is_file:
        raise InvalidRequest("split", f"{location.uri}: is a file; a split is chosen in a folder")
    parents: dict[str, set[str]] = {}
    for file in location.files:
        for folder in _folders_above(file.name):
            parents.setdefault(folder.rpartition("/")[2], set()).add(folder)
    stems = {stem_of(file) for file in location.files}
    name = _matching(location, asked, {*parents, *stems})
    if name not in parents:
        return replace(location, files=tuple(file for file in location.files if stem_of(file) == name))
    highest = min(folder.count("/") for folder in parents[name])
    folders = {folder for folder in parents[name] if folder.count("/") == highest}
    if len(folders) == 1:
        return within(location, folders.pop())
    kept = tuple(file for file in location.files if folders & set(_folders_above(file.name)))
    return replace(location, files=kept)


def within(location: Location, folder: str) -> Location:
    """Returns a folder below the location as a location of its own."""
    start = f"{folder}/"
    return replace(
        location,
        uri=below(location.uri, folder),
        files=tuple(
            FoundFile(file.name.removeprefix(start), file.size)
            for file in location.files
            if file.name.startswith(start)
        ),
        folders=tuple(name.removeprefix(start) for name in location.folders if name.startswith(start)),
    )


def _folders_above(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def _matching(location: Location, asked: str, names: set[str]) -> str:
    kind = kind_of_split(asked)
    alike = {name for name in names if name.lower() == asked.lower()} or {
        name for name in names if kind is not None and kind_of_split(name) == kind
    }
    if asked in names:
        return asked
    if len(alike) == 1:
        return alike.pop()
    known = sorted(alike or {name for name in names if kind_of_split(name) is not None})
    listed = ", ".join(shown(name, 60) for name in known[:10])
    problem = f"{len(alike)} names may be meant" if alike else "there is no such split"
    raise InvalidRequest("split", f"{location.uri}: {problem}; {f'there are {listed}' if listed else 'there is none'}")
