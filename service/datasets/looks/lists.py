"""What a look finds in lists of images: labels under an unusual name, and the folder in which their paths begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from service.config.datasets import DatasetRequest
from service.datasets.exports.image_index import ImageIndex
from service.datasets.formats.list_columns import URI_NAMES
from service.datasets.formats.list_files import list_column_names, list_entries
from service.datasets.inspection.classes import class_order
from service.datasets.places.location import Location, locate
from service.errors import InvalidRequest
from workers.data.dataset_roots import DatasetRoots, OutsideOfRoots
from workers.data.names import first_known
from workers.data.plain_values import shown
from workers.data.shards import uri_lists
from workers.data.shards.list_entries import why_never_opened
from workers.plain_uri import below, folder_of

_SPLIT_NAMES = ("split", "subset", "partition", "fold")
_MOST_FILES = 32
_MOST_ROWS = 20_000
_LOOKED_UP = 32
_MOST_SEARCHED = 100_000


@dataclass(frozen=True)
class Findings:
    """What some of a part's files say about it."""

    images: int | None
    images_are_all: bool
    classes: tuple[str, ...] = ()
    """In index order; empty without labels."""
    classes_from: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    """Names and types."""
    fields: tuple[tuple[str, str], ...] = ()
    """Fields that the request needs beside its format."""
    warnings: tuple[str, ...] = ()


def findings_in_lists(request: DatasetRequest, location: Location, whole: Location, roots: DatasetRoots) -> Findings:
    """Looks at the first entries of the lists. Raises InvalidRequest or ShardReadError for what cannot be read."""
    first = location.uri_of(location.files[0])
    names = list_column_names(request, first)
    asked, warnings = _with_labels(request, first, names)
    entries, are_all = _some_entries(asked, location)
    base_uri, said = _base_of(entries, location, whole, roots)
    classes = class_order({entry.label for entry in entries if entry.label is not None})
    fields = {"label_column": asked.label_column, "base_uri": base_uri}
    return Findings(
        images=len(entries),
        images_are_all=are_all and location.is_complete,
        classes=classes,
        classes_from=f"the labels in the list, {order_of(classes)}" if classes else None,
        columns=tuple((shown(name, 100), "string") for name in names[:100]),
        fields=tuple((name, value) for name, value in fields.items() if value is not None),
        warnings=(*warnings, *said, *_splits_in(names)),
    )


def order_of(classes: Sequence[str]) -> str:
    """How classes that were collected from labels are ordered, in words."""
    return "in numeric order" if classes and all(name.lstrip("-").isdigit() for name in classes) else "sorted"


def _splits_in(names: Sequence[str]) -> tuple[str, ...]:
    column = first_known(_SPLIT_NAMES, names)
    if column is None:
        return ()
    return (f"the column `{shown(column, 60)}` is not used, so all rows are one set: write a list for each split",)


def _with_labels(request: DatasetRequest, uri: str, names: Sequence[str]) -> tuple[DatasetRequest, tuple[str, ...]]:
    """The request with labels, if a column holds them: one of a usual name, or the only one beside that of images."""
    labeled = request.model_copy(update={"role": "labeled"})
    others = [name for name in names if name != first_known(URI_NAMES, names)]
    only = labeled.model_copy(update={"label_column": others[0]}) if len(others) == 1 else None
    problem = ""
    for asked in filter(None, (labeled, only)):
        try:
            entries = list(islice(list_entries(asked, uri), _MOST_ROWS))
        except InvalidRequest as error:
            problem = error.message
            continue
        if asked is labeled or 1 < len({entry.label for entry in entries}) <= len(entries) / 2:
            return asked, ()
    return request.model_copy(update={"role": "unlabeled"}), (problem,) if len(names) > 1 and problem else ()


def _some_entries(request: DatasetRequest, location: Location) -> tuple[list[uri_lists.ListEntry], bool]:
    entries: list[uri_lists.ListEntry] = []
    for number, file in enumerate(location.files):
        here = list(islice(list_entries(request, location.uri_of(file)), _MOST_ROWS))
        entries += here
        if len(here) == _MOST_ROWS or number + 1 == _MOST_FILES:
            return entries, False
    return entries, True


def _base_of(
    entries: Sequence[uri_lists.ListEntry], location: Location, whole: Location, roots: DatasetRoots
) -> tuple[str | None, tuple[str, ...]]:
    """The folder in which the entries' paths begin, if it is not that of the list; and what a person should know."""
    some = entries[:: max(1, len(entries) // _LOOKED_UP)][:_LOOKED_UP]
    kinds = [kind for entry in some if (kind := why_never_opened(entry.uri)) is not None]
    if kinds:
        problem = f"{len(kinds)} of {len(some)} entries that were looked up cannot be opened: each is {kinds[0]}"
        return None, _said_or_refused(problem, len(kinds), some)
    sizes = uri_lists.sizes_of([entry.uri for entry in some])
    missing = [entry for entry, size in zip(some, sizes, strict=True) if size == 0]
    if not missing:
        return None, ()
    around = whole
    try:
        if whole.is_file:
            around = locate(folder_of(location.uri), roots, _MOST_SEARCHED)
    except (InvalidRequest, OutsideOfRoots):
        around = location
    index = ImageIndex(around)
    starts = {_start(index, entry.key) for entry in missing}
    start = starts.pop()
    if starts or start is None or len(missing) < len(some):
        problem = f"{len(missing)} of {len(some)} images that were looked up are not there: paths are relative to the"
        said = f"{problem} folder of the list; base_uri names another"
        return None, _said_or_refused(said, len(missing), some)
    return below(around.uri, start) if start else around.uri, ()


def _said_or_refused(problem: str, count: int, some: Sequence[uri_lists.ListEntry]) -> tuple[str, ...]:
    """Raises InvalidRequest for a list that registration would refuse, because it is more than half unreadable."""
    if count > len(some) / 2:
        raise InvalidRequest("uri", f"{some[0].origin}: {problem}")
    return (problem,)


def _start(index: ImageIndex, written: str) -> str | None:
    """What precedes an entry in the name of the image that it means; None if there is no such image."""
    found = index.find(written)
    end = written.removeprefix("./")
    if found is None or not found.name.endswith(end):
        return None
    return found.name.removesuffix(end).rstrip("/")
