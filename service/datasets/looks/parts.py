"""Divides a place into its splits, as folders or names of files tell them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from service.datasets.places.location import FoundFile, Location
from service.datasets.places.splits import SplitKind, are_splits, in_split, kind_of_split, stem_of, within


@dataclass(frozen=True)
class Part:
    """Some of a place's files, and how a request of them alone says so."""

    name: str | None
    """The split's name; None for the whole place."""
    location: Location
    """Only the part's files of the format in question. Its URI is that of the request."""
    split: str | None = None
    """The request's `split`; None if the location's URI leads to the part alone."""

    @property
    def kind(self) -> SplitKind | None:
        return None if self.name is None else kind_of_split(self.name)


def parts_of(location: Location, files: Sequence[FoundFile], passes_through: bool) -> list[Part]:
    """Returns the parts that `files`, which are of one format, divide the location into.

    If `passes_through`, folders that hold nothing but one other folder are left out of the parts' URIs.
    """
    if location.is_file:
        return [Part(None, location)]
    kept = {location.uri_of(file) for file in files}
    whole = _unwrapped(location, kept) if passes_through else location
    here = _only(whole, kept)
    tops = {file.name.partition("/")[0] for file in here.files if "/" in file.name}
    flat = [file for file in here.files if "/" not in file.name]
    if not flat and are_splits(tops):
        return [Part(name, _only(within(whole, name), kept)) for name in _in_order(tops)]
    stems = {stem_of(file) for file in here.files}
    if len(stems) > 1 and (not tops or not passes_through) and are_splits(stems):
        return _by_field(whole, kept, stems)
    inner = {file.name.split("/")[1] for file in here.files if file.name.count("/") > 1}
    is_below_each_class = all(file.name.count("/") > 1 for file in here.files) and len(inner) > 1
    if is_below_each_class and are_splits(inner) and all(kind_of_split(name) is not None for name in inner):
        return _by_field(whole, kept, inner)
    return [Part(None, here)]


def _by_field(whole: Location, kept: Collection[str], names: set[str]) -> list[Part]:
    """The parts that the request's field `split` chooses. It may choose a single folder, which is then named itself."""
    parts = []
    for name in _in_order(names):
        located = in_split(whole, name)
        files = _only(located, kept)
        if files.files:
            parts.append(Part(name, files, split=name if located.uri == whole.uri else None))
    return parts or [Part(None, _only(whole, kept))]


def _unwrapped(location: Location, kept: Collection[str]) -> Location:
    while True:
        names = [file.name for file in _only(location, kept).files]
        tops = {name.partition("/")[0] for name in names}
        if len(tops) != 1 or not all("/" in name for name in names):
            return location
        only = tops.pop()
        if are_splits([only]) and not any(name.count("/") > 1 for name in names):
            return location
        location = within(location, only)


def _only(location: Location, kept: Collection[str]) -> Location:
    return replace(location, files=tuple(file for file in location.files if location.uri_of(file) in kept))


_ORDER: tuple[SplitKind | None, ...] = ("train", None, "unlabeled", "validation", "test")


def _in_order(names: set[str]) -> list[str]:
    return sorted(names, key=lambda name: (_ORDER.index(kind_of_split(name)), name))
