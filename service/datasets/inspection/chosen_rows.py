"""Chooses the rows that a dataset is to have: one part of a split, and no image that other datasets have."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from service.config.datasets import DatasetRequest
from service.datasets.formats.image_folder_source import ImageFolderSource
from service.datasets.formats.source import Source, map_in_threads
from service.datasets.formats.uri_list_source import UriListSource
from service.datasets.inspection.stratified_split import split_by_class
from service.errors import InvalidRequest
from workers.artifact_io import delete_if_there, open_filesystem
from workers.data.errors import BrokenImage
from workers.data.hashes import HASH_BYTES
from workers.data.plain_values import shown
from workers.data.shards import uri_lists
from workers.specs.datasets import DatasetFormat, Shard

Hashes = Sequence[Sequence[bytes | None]]
"""The content hashes of images by shard and row; None for an empty image."""
_CLASSES_SHOWN = 5


@dataclass(frozen=True)
class RowsOfSource:
    """A `source.Source` with some rows of another whose files hold many images each. `shards` names the rows."""

    whole: Source
    shards: tuple[Shard, ...]
    places: tuple[int, ...]
    """The place of each shard among those of `whole`."""
    image_bytes: int
    warnings: tuple[str, ...] = ()

    @property
    def format(self) -> DatasetFormat:
        return self.whole.format

    @property
    def image_field(self) -> str:
        return self.whole.image_field

    @property
    def label_field(self) -> str:
        return self.whole.label_field

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.whole.class_names

    def row_name(self, shard_index: int, row: int) -> str:
        return self.whole.row_name(self.places[shard_index], self.shards[shard_index].chosen[row])

    def label_names(self, shard_index: int) -> list[str | None]:
        names = self.whole.label_names(self.places[shard_index])
        return [names[row] for row in self.shards[shard_index].chosen]

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        chosen = self.shards[shard_index].chosen
        return self.whole.read_rows(self.places[shard_index], [chosen[row] for row in rows])

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        chosen = set(self.shards[shard_index].chosen)
        images = enumerate(self.whole.iterate_images(self.places[shard_index]))
        return (image for row, image in images if row in chosen)


@dataclass(frozen=True)
class ChosenRows:
    """A source with the chosen rows only, their content hashes if all images were hashed, and what to say about it."""

    source: Source
    hashes: Hashes | None
    warnings: tuple[str, ...]


def choose_rows(
    request: DatasetRequest, source: Source, hashes: Hashes | None, held: Iterable[npt.NDArray[np.bytes_]]
) -> ChosenRows:
    """Chooses the rows that the request asks for. Without a part and datasets to leave out, these are all rows.

    `held` holds the sorted hashes of the datasets whose images are left out. `hashes` is None for images that are too
    many to be hashed. Raises InvalidRequest if the classes are too small to be split, or if no image is left.
    """
    if request.part is None and not request.without:
        return ChosenRows(source, hashes, ())
    rows_a_shard = [shard.rows for shard in source.shards]
    kept = np.ones(sum(rows_a_shard), dtype=bool)
    warnings: list[str] = []
    if request.part is not None:
        kept, said = _of_part(request, source, hashes)
        warnings += said
    if request.without and hashes is None:
        warnings.append("too many images to compare: those of the datasets in `without` are left out when it is read")
    elif request.without and hashes is not None:
        elsewhere = _are_among(list(chain.from_iterable(hashes)), held)
        if count := int((kept & elsewhere).sum()):
            warnings.append(f"{count:,} image(s) are left out: the datasets in `without` have them, byte for byte")
        kept &= ~elsewhere
    if not kept.any():
        raise InvalidRequest(
            "without", f"all {len(kept):,} images at {request.uri} are in those datasets: none is left"
        )
    starts = np.cumsum([0, *rows_a_shard])
    rows = [np.flatnonzero(kept[start:end]).tolist() for start, end in pairwise(starts)]
    filled = [index for index, chosen in enumerate(rows) if chosen]
    return ChosenRows(
        source=_with_rows(source, {index: rows[index] for index in filled}),
        hashes=None if hashes is None else [[hashes[index][row] for row in rows[index]] for index in filled],
        warnings=tuple(warnings),
    )


def _of_part(
    request: DatasetRequest, source: Source, hashes: Hashes | None
) -> tuple[npt.NDArray[np.bool_], Sequence[str]]:
    assert request.part is not None
    places = range(len(source.shards))
    labels = [str(name) for names in map_in_threads(source.label_names, places) for name in names]
    groups = _rows_by_name(source) if hashes is None else list(chain.from_iterable(hashes))
    split = split_by_class(labels, groups, request.part)
    classes = Counter(labels)
    parted = len(classes) - len(split.kept_whole)
    if parted < 2 or parted < len(classes) / 2:
        least = 1 + bool(request.part.validation_share) + bool(request.part.test_share)
        raise InvalidRequest(
            "part",
            f"only {parted} of {len(classes)} classes at {request.uri} have {least} different images or more, which a "
            f"split takes at least; too small: {_listed(split.kept_whole)}. Add images, or register images for "
            "validation and test by themselves",
        )
    said = []
    if split.kept_whole:
        said.append(
            f"{len(split.kept_whole)} class(es) have too few different images to be split and are for training as a "
            f"whole, so that nothing measures them: {_listed(split.kept_whole)}"
        )
    if hashes is None:
        said.append(
            "too many images to compare when they are split: images that are there more than once may lie in several "
            "parts; training leaves out those that equal an evaluation image"
        )
    return np.array([part == request.part.name for part in split.parts]), said


def _rows_by_name(source: Source) -> list[bytes]:
    return [f"{index}:{row}".encode() for index, shard in enumerate(source.shards) for row in range(shard.rows)]


def _are_among(hashes: Sequence[bytes | None], held: Iterable[npt.NDArray[np.bytes_]]) -> npt.NDArray[np.bool_]:
    empty = np.array([value is None for value in hashes])
    values = np.frombuffer(b"".join(value or bytes(HASH_BYTES) for value in hashes), dtype=f"S{HASH_BYTES}")
    found = np.zeros(len(values), dtype=bool)
    for each in held:
        found |= np.isin(values, each)
    found &= ~empty
    return found


def _with_rows(source: Source, rows: Mapping[int, Sequence[int]]) -> Source:
    """The source with these rows of these shards. The parts of a list are written anew."""
    kept, total = sum(map(len, rows.values())), sum(shard.rows for shard in source.shards)
    image_bytes = source.image_bytes * kept // total
    if isinstance(source, ImageFolderSource):
        members = {index: source.shards[index].members for index in rows}
        shards = tuple(
            replace(source.shards[index], rows=len(chosen), members=tuple(members[index][row] for row in chosen))
            for index, chosen in rows.items()
        )
        return replace(source, shards=shards, image_bytes=image_bytes, warnings=())
    if isinstance(source, UriListSource):
        return replace(source, shards=_parts_with(source, rows), image_bytes=image_bytes, warnings=())
    shards = tuple(
        replace(source.shards[index], rows=len(chosen), chosen=tuple(chosen)) for index, chosen in rows.items()
    )
    return RowsOfSource(source, shards, tuple(rows), image_bytes)


def _parts_with(source: UriListSource, rows: Mapping[int, Sequence[int]]) -> tuple[Shard, ...]:
    shards = []
    for index, shard in enumerate(source.shards):
        if index not in rows:
            delete_if_there(*open_filesystem(shard.uri))
            continue
        entries = uri_lists.read_part(shard.uri)
        uri_lists.write_part(shard.uri, [entries[row] for row in rows[index]])
        shards.append(replace(shard, rows=len(rows[index])))
    return tuple(shards)


def _listed(counts: Mapping[str, int]) -> str:
    named = [f"{shown(name, 60)} ({count})" for name, count in list(counts.items())[:_CLASSES_SHOWN]]
    more = f" and {len(counts) - _CLASSES_SHOWN} more" if len(counts) > _CLASSES_SHOWN else ""
    return ", ".join(named) + more
