"""Lists of URIs, split into shards of up to 1,000 images, each a mix of a long stretch of the list."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

from service.config.datasets import DatasetRequest
from service.datasets.formats.image_folder_source import FILES_PER_SHARD
from service.datasets.formats.list_files import list_entries
from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.artifact_io import join_uri
from workers.data.dataset_roots import ANYWHERE, DatasetRoots, OutsideOfRoots
from workers.data.errors import BrokenImage
from workers.data.shards import uri_lists
from workers.data.shards.list_entries import why_never_opened
from workers.data.shards.uri_lists import ListEntry
from workers.specs.datasets import DatasetFormat, Shard
from workers.specs.stages import part_name

_STRETCH = 200_000
"""How many entries to hold in memory at a time; each takes a few hundred bytes."""
_SIZED = 32
"""How many images to look up to estimate the size of all."""


@dataclass(frozen=True)
class UriListSource:
    """A `source.Source` for lists of URIs. A shard is a part of the list, in a file that registration has written."""

    shards: tuple[Shard, ...]
    image_bytes: int
    format: DatasetFormat = "uri_list"
    image_field: str = "uri"
    label_field: str = "label_column"
    class_names: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def row_name(self, shard_index: int, row: int) -> str:
        return self._entries(shard_index)[row].origin

    def label_names(self, shard_index: int) -> list[str | None]:
        return [entry.label for entry in self._entries(shard_index)]

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        entries = self._entries(shard_index)
        fetched = uri_lists.fetch([entries[row].uri for row in rows])
        return [fetched.unreadable.get(place, image) for place, image in enumerate(fetched.images)]

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        entries = iter(self._entries(shard_index))
        while few := list(islice(entries, _SIZED)):
            for piece in uri_lists.iterate_fetched([entry.uri for entry in few]):
                yield from piece.images

    def _entries(self, shard_index: int) -> list[ListEntry]:
        return uri_lists.read_part(self.shards[shard_index].uri)


def open_uri_list_source(
    request: DatasetRequest, location: Location, files: Sequence[FoundFile], parts_uri: str, roots: DatasetRoots
) -> UriListSource:
    """Splits the lists into parts and writes them to the folder `parts_uri`.

    Raises InvalidRequest for lists that cannot be read, are empty, or have an entry outside of `roots`, and if no
    reader can open most of the entries.
    """
    entries = (entry for file in files for entry in list_entries(request, location.uri_of(file)))
    return source_of_entries(entries, f"{location.uri}: lists no URI, in {len(files)} file(s)", parts_uri, roots)


def source_of_entries(listed: Iterable[ListEntry], if_empty: str, parts_uri: str, roots: DatasetRoots) -> UriListSource:
    """Splits a list into parts and writes them to the folder `parts_uri`.

    Every n-th entry of a stretch goes to the same shard. Neighbours may be of one class, and training shuffles over
    only a few shards at a time. Raises InvalidRequest, with `if_empty` for an empty list, like `open_uri_list_source`.
    """
    never_opened = _NeverOpened()
    entries = (entry for entry in listed if never_opened.counts(entry) or _is_allowed(entry, roots))
    shards: list[Shard] = []
    sample: list[str] = []
    while stretch := list(islice(entries, _STRETCH)):
        sample = sample or [entry.uri for entry in stretch[:: ceil(len(stretch) / _SIZED)]]
        count = ceil(len(stretch) / FILES_PER_SHARD)
        for start in range(count):
            uri, group = join_uri(parts_uri, part_name(len(shards))), stretch[start::count]
            uri_lists.write_part(uri, group)
            shards.append(Shard(uri=uri, rows=len(group)))
    rows = sum(shard.rows for shard in shards)
    if not rows:
        raise InvalidRequest("uri", if_empty)
    warnings = never_opened.said(rows)
    sizes = uri_lists.sizes_of(sample)
    return UriListSource(tuple(shards), sum(sizes) * rows // len(sizes), warnings=warnings)


class _NeverOpened:
    """Counts the entries of a list that no reader can open, by the kind of problem."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def counts(self, entry: ListEntry) -> bool:
        """Returns whether no reader can open the entry, and counts it if so."""
        kind = why_never_opened(entry.uri)
        if kind is not None:
            self._count[kind] += 1
            self._first.setdefault(kind, entry.origin)
        return kind is not None

    def said(self, rows: int) -> tuple[str, ...]:
        """Returns one warning for each kind. Raises InvalidRequest if they are more than half of the `rows`."""
        found = tuple(
            f"{count:,} of {rows:,} entries cannot be opened, the first at {self._first[kind]}: each is {kind}"
            for kind, count in self._count.most_common()
        )
        if self._count.total() > rows / 2:
            raise InvalidRequest("uri", "; ".join(found))
        return found


def _is_allowed(entry: ListEntry, roots: DatasetRoots) -> bool:
    if roots != ANYWHERE:
        try:
            roots.check(entry.uri)
        except OutsideOfRoots as error:
            raise InvalidRequest("uri", f"{entry.origin}: {error.message}") from error
    return True
