"""Recognizes folders and files that are named like splits of a dataset: train, val, test."""

import re
from collections.abc import Iterable

from service.datasets.places.location import FoundFile

_SPLIT = re.compile(
    r"(the|my|images?|img|data)?(train(ing|val)?|val(id(ation)?)?|dev(elopment)?|eval(uation)?|test(ing)?|holdout"
    r"|unlabell?ed|labell?ed|unsup(ervised)?|extra)(set|split|data|images?|img|folder|dir)?\d*"
)
_OF_A_FILE = re.compile(r"(.+?)[-_.]\d+(-?of-?\d+)?")


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
        *folders, base = file.name.split("/")
        stem = base.partition(".")[0]
        numbered = _OF_A_FILE.fullmatch(stem)
        found.update(splits_among([*folders[:1], *folders[-1:], numbered[1] if numbered else stem]))
    return sorted(found)
