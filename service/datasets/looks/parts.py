"""Divides a place into its splits, as folders or names of files tell them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.datasets.places.location import FoundFile, Location
from service.datasets.places.splits import SplitKind, are_splits, in_split, kind_of_split, stem_of, within


@dataclass(frozen=True)
class Part:
    """Some of a place's files, and how a request of them alone says so."""

    name: str | None
    """The split's name; None for the whole place."""
    location: Location
    """Only the part's files of the format in question."""
    split: str | None = None
    """The request's `split`; None if the location's URI leads to the part alone."""

    @property
    def kind(self) -> SplitKind | None:
        return None if self.name is None else kind_of_split(self.name)


def parts_of(location: Location, files: Sequence[FoundFile], passes_through: bool) -> list[Part]:
    """Returns the parts that `files`, which are of one format, divide the location into.

    If `passes_through`, folders that hold nothing but one other folder are left out of the parts' URIs.
    """
    here = replace(location, files=tuple(files))
    if here.is_file:
        return [Part(None, here)]
    if passes_through:
        here = _unwrapped(here)
    tops = {file.name.partition("/")[0] for file in here.files if "/" in file.name}
    flat = [file for file in here.files if "/" not in file.name]
    if not flat and are_splits(tops):
        return [Part(name, within(here, name)) for name in _in_order(tops)]
    stems = {stem_of(file) for file in here.files}
    if len(stems) > 1 and (not tops or not passes_through) and are_splits(stems):
        return [Part(name, in_split(here, name), split=name) for name in _in_order(stems)]
    inner = {file.name.split("/")[1] for file in here.files if file.name.count("/") > 1}
    is_below_each_class = all(file.name.count("/") > 1 for file in here.files) and len(inner) > 1
    if is_below_each_class and are_splits(inner) and all(kind_of_split(name) is not None for name in inner):
        return [Part(name, in_split(here, name), split=name) for name in _in_order(inner)]
    return [Part(None, here)]


def _unwrapped(location: Location) -> Location:
    while True:
        tops = {file.name.partition("/")[0] for file in location.files}
        if len(tops) != 1 or not all("/" in file.name for file in location.files):
            return location
        only = tops.pop()
        holds_folders = any(file.name.count("/") > 1 for file in location.files)
        if are_splits([only]) and not holds_folders:
            return location
        location = within(location, only)


_ORDER: tuple[SplitKind | None, ...] = ("train", None, "unlabeled", "validation", "test")


def _in_order(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (_ORDER.index(kind_of_split(name)), name))
