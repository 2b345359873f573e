"""The formats that a place may be read in, the most likely one first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.config.datasets import RequestedFormat
from service.datasets.exports.export_source import find_exports
from service.datasets.formats.arrow_source import ARROW_SUFFIXES
from service.datasets.formats.hugging_face import current_files, is_saved
from service.datasets.formats.list_files import LIST_SUFFIXES
from service.datasets.formats.parquet_source import PARQUET_SUFFIXES
from service.datasets.formats.webdataset_source import TAR_SUFFIXES
from service.datasets.inspection.chosen_files import choose_files
from service.datasets.looks.parts import Part
from service.datasets.places.location import FoundFile, Location
from service.datasets.places.splits import are_splits
from service.errors import InvalidRequest
from workers.data.dataset_roots import DatasetRoots
from workers.data.names import IMAGE_SUFFIXES

_TABLES = LIST_SUFFIXES - PARQUET_SUFFIXES - {"txt"}


@dataclass(frozen=True)
class Reading:
    """A format in which a place may be read, and its files of that format."""

    format: RequestedFormat
    files: Sequence[FoundFile]
    words: str | None = None
    """What it is, where the format alone does not say it."""
    parts: Sequence[Part] = ()
    """Its parts, if they are not told by the names of its files."""
    needs_labels: bool = False
    """Whether it counts only if there are labels in it. Otherwise another reading is as good."""


def readings_of(location: Location, roots: DatasetRoots) -> Iterator[Reading]:
    """Yields the formats that the files of a place may be read in.

    A table beside images in one folder lists them, as Hugging Face's metadata.csv does; beside class folders it does
    not count. What has no known suffix is recognized by its content.
    """
    yield from _exports(location, roots)
    if location.is_file:
        with_content = _by_content(location)
        yield from with_content
        if with_content and with_content[0].format == "parquet":
            yield Reading("uri_list", location.files, "a list of images in Parquet")
        return
    images = _of(location, IMAGE_SUFFIXES)
    parquet = _of(location, PARQUET_SUFFIXES)
    about_images = [file for file in parquet if images and file.name.rpartition("/")[2] == "metadata.parquet"]
    tables = [*_of(location, _TABLES), *about_images]
    tars = _of(location, TAR_SUFFIXES)
    folders = {file.name.partition("/")[0] for file in images if "/" in file.name}
    has_class_folders = len(folders) > 1 and not are_splits(folders)
    if len(parquet) >= len(images) and parquet and not about_images:
        yield Reading("parquet", parquet)
        yield Reading("uri_list", parquet, "a list of images in Parquet")
    if arrow := current_files(location, _of(location, ARROW_SUFFIXES)):
        yield Reading("arrow", arrow, "a dataset saved by Hugging Face (Arrow)" if is_saved(location) else None)
    if tars and len(tars) >= len(images):
        yield Reading("webdataset", tars)
    if tables and not has_class_folders:
        yield from _lists(tables, images)
    if images:
        yield Reading("image_folder", images)
    if tables and not images:
        yield Reading("uri_list", tables)
    if texts := _of(location, frozenset({"txt"})):
        yield Reading("uri_list", texts)
    if not (images or tables or parquet or tars):
        yield from _by_content(location)


def _exports(location: Location, roots: DatasetRoots) -> Iterator[Reading]:
    found = find_exports(location, None, roots)
    images = [] if location.is_file else _of(location, IMAGE_SUFFIXES)
    for name in dict.fromkeys(export.format for export in found):
        exports = [export for export in found if export.format == name]
        files = {location.uri_of(file): file for file in location.files}
        parts = [
            Part(export.split, replace(location, uri=export.uri, is_file=True, files=(FoundFile("", 0),)))
            for export in exports
        ]
        yield Reading(name, [*(files[export.uri] for export in exports), *images], parts=parts)


def _lists(tables: Sequence[FoundFile], images: Sequence[FoundFile]) -> Iterator[Reading]:
    metadata = [file for file in tables if file.name.rpartition("/")[2].startswith("metadata.")]
    if metadata and images:
        yield Reading(
            "uri_list",
            metadata,
            "a folder of images with a table about them (Hugging Face's imagefolder)",
            needs_labels=True,
        )
    elif images:
        yield Reading("uri_list", tables, "images and a table that lists them", needs_labels=True)


def _by_content(location: Location) -> list[Reading]:
    try:
        chosen = choose_files(location, None)
    except InvalidRequest:
        return []
    return [Reading(chosen.format, chosen.files)]


def _of(location: Location, suffixes: frozenset[str]) -> list[FoundFile]:
    return [file for file in location.files if file.suffix in suffixes]
