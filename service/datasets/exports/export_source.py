"""Opens the export of a labeling tool as a list of images: chooses its file, finds the images, and drops the others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.config.datasets import EXPORT_FORMATS, DatasetRequest, ExportFormat
from service.datasets.exports.coco import coco_export
from service.datasets.exports.documents import format_of, is_flat_row, read_json
from service.datasets.exports.exported_images import Export, ExportedImage
from service.datasets.exports.fiftyone import fiftyone_export
from service.datasets.exports.image_index import ImageIndex
from service.datasets.exports.label_studio import label_studio_rows, label_studio_tasks
from service.datasets.formats.list_files import list_rows
from service.datasets.places.location import FoundFile, Location, locate
from service.datasets.places.splits import are_splits, kind_of_split, stem_of
from service.errors import InvalidRequest
from workers.artifact_io import name_of, open_filesystem
from workers.data.dataset_roots import DatasetRoots, OutsideOfRoots
from workers.data.names import IMAGE_SUFFIXES, suffix_of
from workers.data.plain_values import flaw_of, shown
from workers.data.shards.list_entries import why_never_opened
from workers.data.shards.uri_lists import ListEntry
from workers.plain_uri import folder_of, is_uri

_MOST_CANDIDATES = 20
_MOST_SEARCHED = 1_000_000
"""How many files around an export's file are listed to find its images."""
_TABLES = frozenset({"csv", "tsv"})


@dataclass(frozen=True)
class FoundExport:
    """An export at a place: its file, and the place in which its images are searched."""

    format: ExportFormat
    uri: str
    images_at: Location
    split: str | None = None
    """The name of its split, if the place holds several exports."""


@dataclass(frozen=True)
class ListedExport:
    """An export as a list. The entries' URIs are those of images that are there."""

    entries: Sequence[ListEntry]
    classes: tuple[str, ...] | None
    warnings: tuple[str, ...]


def find_exports(location: Location, asked: ExportFormat | None, roots: DatasetRoots) -> list[FoundExport]:
    """Returns the exports at a place, in the order of their files' names.

    Without `asked`, class folders count before an export: a file beside them is then none. Reads the JSON files at the
    top of the place, in the folder `annotations` and in folders of splits.
    """
    if location.is_file:
        if asked is None and not _may_be_export(location.uri):
            return []
        found = asked or _format_at(location.uri)
        if found is None:
            return []
        folder = locate(folder_of(location.uri), roots, _MOST_SEARCHED)
        return [FoundExport(found, location.uri, _with_images(folder, roots))]
    if asked is None and _has_class_folders(location):
        return []
    exports = []
    images_at: Location | None = None
    for file in _candidates(location):
        uri = location.uri_of(file)
        found = _format_at(uri)
        if found is not None and asked in (None, found):
            names = [file.name.partition("/")[0], stem_of(file)]
            split = next((name for name in names if kind_of_split(name) is not None), None)
            images_at = images_at or _with_images(location, roots)
            exports.append(FoundExport(found, uri, images_at, split))
    return exports


def chosen_export(location: Location, request: DatasetRequest, roots: DatasetRoots) -> FoundExport | None:
    """Returns the export that a request means; None if it means none. Raises InvalidRequest if it may mean several."""
    asked = next((name for name in EXPORT_FORMATS if name == request.format), None)
    if request.format is not None and asked is None:
        return None
    if asked is None and request.role == "unlabeled" and not location.is_file:
        return None
    found = find_exports(location, asked, roots)
    if request.split is not None:
        found = _of_split(location, request.split, found)
    if asked is not None and not found:
        for file in _candidates(location):
            if file.suffix == "json":
                read_json(location.uri_of(file))  # says why it cannot be read
        raise InvalidRequest("format", f"{location.uri}: no file of the form of {asked} is at its top")
    if len(found) > 1:
        listed = ", ".join(shown(name_of(each.uri), 60) for each in found[:5])
        problem = f"holds {len(found)} exports ({listed}): register one of the files, or choose a split"
        raise InvalidRequest("uri", f"{location.uri}: {problem}")
    return found[0] if found else None


def listed_export(found: FoundExport, request: DatasetRequest, roots: DatasetRoots) -> ListedExport:
    """Reads an export and finds its images.

    Images without a label are left out of labeled sets, and so are images with several labels and those that are not
    there; the warnings count them. Raises InvalidRequest if they are more than half.
    """
    export = _read(found, request)
    place = locate(request.base_uri, roots) if request.base_uri is not None else found.images_at
    near = (name_of(found.uri).partition(".")[0], found.split or "")
    index = ImageIndex(place, by_stem=export.names_lack_suffixes, near=near)
    images = _labels_joined(export.images)
    counted = _Counted(len(images))
    entries = []
    is_labeled = request.role != "unlabeled"
    for image in images:
        if is_labeled and not image.labels:
            counted.add("have no label", image.origin)
        elif is_labeled and len(image.labels) > 1:
            counted.add("have several labels, of which none is taken", image.origin)
        elif is_labeled and (flaw := flaw_of(next(iter(image.labels)))) is not None:
            raise InvalidRequest("uri", f"{image.origin}: its label has {flaw}, and cannot be the name of a class")
        elif (found_file := index.find(image.place)) is not None:
            label = next(iter(image.labels)) if is_labeled else None
            entries.append(ListEntry(found_file.name, place.uri_of(found_file), label, image.origin))
        elif _is_there(image.place, roots):
            label = next(iter(image.labels)) if is_labeled else None
            entries.append(ListEntry(image.place, image.place, label, image.origin))
        else:
            counted.add(_not_found(image.place), image.origin)
    counted.check(found, place, len(entries))
    return ListedExport(_without_repeats(entries), export.classes, (*export.warnings, *counted.said()))


def _read(found: FoundExport, request: DatasetRequest) -> Export:
    uri = found.uri
    if suffix_of(name_of(uri)) in _TABLES:
        return label_studio_rows(list_rows(uri, request), request, uri)
    document = read_json(uri)
    if found.format == "coco":
        return coco_export(document, uri)
    if found.format == "fiftyone":
        return fiftyone_export(document, request, uri)
    if not isinstance(document, list):
        raise InvalidRequest("uri", f"{uri}: is no export of Label Studio: it is no list of tasks")
    if document and isinstance(document[0], dict) and "data" not in document[0]:
        rows = ((f"{uri} row {number}", row) for number, row in enumerate(document) if isinstance(row, dict))
        return label_studio_rows(rows, request, uri)
    return label_studio_tasks(document, request, uri)


def _labels_joined(images: Sequence[ExportedImage]) -> list[ExportedImage]:
    """One entry for each place. An image that was labeled several times has all the labels."""
    joined: dict[str, ExportedImage] = {}
    for image in images:
        before = joined.get(image.place)
        joined[image.place] = image if before is None else replace(before, labels=before.labels | image.labels)
    return list(joined.values())


def _without_repeats(entries: Sequence[ListEntry]) -> list[ListEntry]:
    return list({(entry.uri, entry.label): entry for entry in reversed(entries)}.values())[::-1]


def _is_there(place: str, roots: DatasetRoots) -> bool:
    """Whether a place is the absolute path or the URI of a file that is there and may be read."""
    if why_never_opened(place) is not None or not (is_uri(place) or place.startswith("/")):
        return False
    try:
        roots.check(place)
        filesystem, path = open_filesystem(place)
        return bool(filesystem.get_file_info(path).is_file)
    except (OSError, ValueError, OutsideOfRoots):
        return False


def _not_found(place: str) -> str:
    kind = why_never_opened(place)
    return "are not there" if kind is None else f"are not there, each being {kind.partition(':')[0]}"


class _Counted:
    """Counts what is left out of a list, by reason."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, origin: str) -> None:
        self._count[reason] += 1
        self._first.setdefault(reason, origin)

    def said(self) -> tuple[str, ...]:
        return tuple(
            f"{count:,} of {self._images:,} images {reason}, the first at {self._first[reason]}: they are left out"
            for reason, count in self._count.most_common()
        )

    def check(self, found: FoundExport, place: Location, kept: int) -> None:
        """Raises InvalidRequest if nothing is kept, or less than what has a problem beyond a missing label."""
        problems = sum(count for reason, count in self._count.items() if reason != "have no label")
        if kept and problems <= kept:
            return
        hint = ""
        if any(reason.startswith("are not there") for reason in self._count):
            hint = f"; images are searched in {place.uri} by the ends of their paths: set base_uri to their folder"
        raise InvalidRequest("uri", f"{found.uri}: {'; '.join(self.said()) or 'lists no image'}{hint}")


def _with_images(folder: Location, roots: DatasetRoots) -> Location:
    """The folder, or the one around it if it holds no image."""
    if len(ImageIndex(folder)):
        return folder
    try:
        return locate(folder_of(folder.uri), roots, _MOST_SEARCHED)
    except (InvalidRequest, OutsideOfRoots):
        return folder


def _candidates(location: Location) -> Iterator[FoundFile]:
    count = 0
    for file in location.files:
        folder = file.name.rpartition("/")[0]
        is_near = folder in ("", "annotations", "labels") or (kind_of_split(folder) is not None)
        if is_near and (file.suffix == "json" or (file.suffix in _TABLES and not folder)) and count < _MOST_CANDIDATES:
            count += 1
            yield file


def _may_be_export(uri: str) -> bool:
    return suffix_of(name_of(uri)) in {"json", *_TABLES}


def _format_at(uri: str) -> ExportFormat | None:
    """The tool that a file comes from; None for another file, and for one that cannot be read."""
    try:
        if suffix_of(name_of(uri)) in _TABLES:
            request = DatasetRequest(name="look", role="unlabeled", uri=uri)
            row = next((row for _, row in list_rows(uri, request)), {})
            return "label_studio" if is_flat_row(row) else None
        return format_of(read_json(uri))
    except InvalidRequest:
        return None


def _has_class_folders(location: Location) -> bool:
    images = [file.name for file in location.files if file.suffix in IMAGE_SUFFIXES]
    tops = {name.partition("/")[0] for name in images if "/" in name}
    return len(tops) > 1 and not are_splits(tops) and all("/" in name for name in images)


def _of_split(location: Location, split: str, found: Sequence[FoundExport]) -> list[FoundExport]:
    named = [each for each in found if each.split is not None and each.split.lower() == split.lower()]
    kind = kind_of_split(split)
    return named or [
        each for each in found if each.split is not None and kind is not None and kind_of_split(each.split) == kind
    ]
