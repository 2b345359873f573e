"""Inspects a dataset before it is registered. It writes nothing except the parts of a list of URIs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.config.datasets import DatasetRequest, RequestedFormat
from service.datasets.exports.export_source import FoundExport, chosen_export, listed_export
from service.datasets.formats.arrow_source import ArrowSource, open_arrow_source
from service.datasets.formats.hugging_face import names_beside
from service.datasets.formats.image_folder_source import ImageFolderSource, open_image_folder_source
from service.datasets.formats.parquet_source import ParquetSource, open_parquet_source
from service.datasets.formats.source import Source
from service.datasets.formats.uri_list_source import open_uri_list_source, source_of_entries
from service.datasets.formats.webdataset_source import open_webdataset_source
from service.datasets.inspection.chosen_files import ChosenFiles, choose_files
from service.datasets.inspection.chosen_rows import choose_rows
from service.datasets.inspection.classes import check_classes, count_classes
from service.datasets.inspection.digest import DatasetDigest, digest_of_files, digest_of_images
from service.datasets.inspection.findings import (
    warnings_of_classes,
    warnings_of_files,
    warnings_of_repeats,
    warnings_of_sample,
)
from service.datasets.inspection.sampling import decode_sample, hash_images
from service.datasets.places.location import Location, locate
from service.datasets.places.registered_files import RegisteredFile, Registration, files_there
from service.datasets.places.splits import in_split
from service.errors import InvalidRequest
from workers.data.dataset_roots import ANYWHERE, DatasetRoots
from workers.data.errors import ShardReadError
from workers.specs.datasets import DATASET_FORMATS, DatasetManifest, Shard

_TABLES: frozenset[RequestedFormat] = frozenset({"parquet", "arrow", "uri_list"})
_TAKEN_BY: Mapping[str, frozenset[RequestedFormat]] = {
    "image_column": _TABLES | {"label_studio"},
    "label_column": _TABLES | {"label_studio", "fiftyone"},
    "key_column": _TABLES,
    "base_uri": frozenset({"uri_list", "label_studio", "fiftyone", "coco"}),
    "class_level": frozenset({"image_folder"}),
}
"""The formats for which a field of the request means something."""


@dataclass(frozen=True)
class HashLimit:
    """The size above which a dataset is not hashed at registration, because a person waits for it."""

    images: int = 200_000
    bytes: int = 4 << 30


@dataclass(frozen=True)
class InspectedDataset:
    """The result of an inspection."""

    manifest: DatasetManifest
    class_counts: dict[str, int] | None
    """The number of images of each class, in index order; None for an unlabeled dataset."""
    content_hashes: list[bytes] | None
    """The `content_hash` of every image that is not empty, including repeated ones; None above the limit."""
    hashes_by_row: list[bytes | None] | None
    """The content hash of each row, None for an empty image; None as a whole above the limit."""
    sampled: int
    sampled_bad: int
    picture_side: int | None
    """The median of the shorter sides of the sampled images, in pixels."""
    digest: DatasetDigest
    registration: Registration
    warnings: tuple[str, ...] = ()
    """What a person should know about the dataset, one sentence each."""


def inspect_dataset(
    request: DatasetRequest,
    dataset_id: str,
    parts_uri: str,
    hash_limit: HashLimit | None = None,
    roots: DatasetRoots = ANYWHERE,
    held: Sequence[npt.NDArray[np.bytes_]] = (),
) -> InspectedDataset:
    """Lists all files, counts all rows, reads all labels, decodes a sample, and hashes the images up to `hash_limit`.

    `parts_uri` is a folder for the parts of a list of URIs; if the dataset is refused, the caller deletes it. `held`
    holds the sorted hashes of the datasets that the request names in `without`. Raises
    InvalidRequest for a dataset that is unusable or lies outside of `roots`. The error has the request's field, and its
    message names the file and the row.
    """
    _check_request(request)
    try:
        return _inspect(request, dataset_id, parts_uri, hash_limit or HashLimit(), roots, held)
    except ShardReadError as error:
        raise InvalidRequest("uri", str(error)) from error


def _inspect(
    request: DatasetRequest,
    dataset_id: str,
    parts_uri: str,
    hash_limit: HashLimit,
    roots: DatasetRoots,
    held: Sequence[npt.NDArray[np.bytes_]],
) -> InspectedDataset:
    whole, warnings, files = _opened(request, parts_uri, roots)
    rows = sum(shard.rows for shard in whole.shards)
    if rows == 0:
        raise InvalidRequest("uri", f"{whole.shards[0].uri}: no images, in {len(whole.shards)} file(s)")
    warnings += whole.warnings
    classes = None if request.role == "unlabeled" else tuple(count_classes(whole, request.classes))
    sample = decode_sample(whole)
    warnings += warnings_of_sample(sample)
    within_limit = rows <= hash_limit.images and whole.image_bytes <= hash_limit.bytes
    chosen = choose_rows(request, whole, hash_images(whole) if within_limit else None, held)
    source = chosen.source
    class_counts = None if classes is None else count_classes(source, classes)
    warnings += [*chosen.warnings, *warnings_of_classes(class_counts or {})]
    manifest = _manifest(whole, source.shards, request, dataset_id, classes or ())
    content_hashes: list[bytes] | None = None
    by_row: list[bytes | None] | None = None
    if chosen.hashes is not None:
        warnings += warnings_of_repeats(source, chosen.hashes, labeled=class_counts is not None)
        by_row = [value for hashes in chosen.hashes for value in hashes]
        content_hashes = [value for value in by_row if value is not None]
    return InspectedDataset(
        manifest=manifest,
        class_counts=class_counts,
        content_hashes=content_hashes,
        hashes_by_row=by_row,
        sampled=sample.images,
        sampled_bad=sample.bad,
        picture_side=sample.side,
        digest=digest_of_files(manifest)
        if content_hashes is None
        else digest_of_images(source, manifest, content_hashes),
        registration=Registration(request, files),
        warnings=tuple(warnings),
    )


def _check_request(request: DatasetRequest) -> None:
    if request.classes is not None and request.role != "unlabeled":
        check_classes(request.classes)


@dataclass(frozen=True)
class Place:
    """What a request reads: all files at its location, those of its split, and the chosen ones of these."""

    whole: Location
    location: Location
    chosen: ChosenFiles


def find_files(request: DatasetRequest, whole: Location) -> Place:
    """Chooses the files of the request's split and format at its location. Raises InvalidRequest."""
    location = whole if request.split is None else in_split(whole, request.split)
    chosen = choose_files(location, next((name for name in DATASET_FORMATS if name == request.format), None))
    _check_fields(request, location.uri, chosen.format)
    return Place(whole, location, chosen)


def open_source(request: DatasetRequest, place: Place, parts_uri: str, roots: DatasetRoots) -> Source:
    """Lists the shards of the chosen files and counts their rows. Raises InvalidRequest or ShardReadError."""
    location, chosen = place.location, place.chosen
    if chosen.format == "parquet":
        return open_parquet_source(request, location, chosen.files, names_beside((location, place.whole)))
    if chosen.format == "arrow":
        return open_arrow_source(request, location, chosen.files, names_beside((location, place.whole)))
    if chosen.format == "uri_list":
        return open_uri_list_source(request, location, chosen.files, parts_uri, roots)
    if chosen.format == "webdataset":
        return open_webdataset_source(request.role, location, chosen.files)
    return open_image_folder_source(request, location, chosen.files)


def _opened(
    request: DatasetRequest, parts_uri: str, roots: DatasetRoots
) -> tuple[Source, list[str], tuple[RegisteredFile, ...]]:
    """Returns the source with warnings, and the files that a later version compares; none for an export."""
    whole = locate(request.uri, roots)
    if (export := chosen_export(whole, request, roots)) is not None:
        return *_open_export(export, request, parts_uri, roots), ()
    place = find_files(request, whole)
    warnings = warnings_of_files(request.role, place.location, place.chosen)
    # Before anything is read: a file that changes meanwhile then counts as changed in the next version.
    files = files_there(place.location, place.chosen.files)
    return open_source(request, place, parts_uri, roots), warnings, files


def _check_fields(request: DatasetRequest, uri: str, taken_for: RequestedFormat) -> None:
    for field, formats in _TAKEN_BY.items():
        if getattr(request, field) is not None and taken_for not in formats:
            lacks = "columns" if field.endswith("_column") else f"use for {field}"
            raise InvalidRequest(field, f"{uri} is of the format {taken_for}, which has no {lacks}")


def _open_export(
    export: FoundExport, request: DatasetRequest, parts_uri: str, roots: DatasetRoots
) -> tuple[Source, list[str]]:
    _check_fields(request, export.uri, export.format)
    listed = listed_export(export, request, roots)
    source = source_of_entries(listed.entries, f"{export.uri}: lists no image", parts_uri, roots)
    # A request may name the classes in another order, or more of them.
    return replace(source, class_names=listed.classes), list(listed.warnings)


def _manifest(
    source: Source, shards: tuple[Shard, ...], request: DatasetRequest, dataset_id: str, classes: tuple[str, ...]
) -> DatasetManifest:
    columns: dict[str, str | None] = {}
    names: tuple[str, ...] = ()
    if isinstance(source, ParquetSource | ArrowSource):
        columns = {"label_column": source.label_column, "key_column": source.key_column}
        names = source.class_names or ()
    return DatasetManifest(
        dataset_id=dataset_id,
        name=request.name,
        role=request.role,
        format=source.format,
        classes=classes,
        image_column=source.image_column if isinstance(source, ParquetSource | ArrowSource) else "image",
        class_level=source.class_level if isinstance(source, ImageFolderSource) else 1,
        rows=sum(shard.rows for shard in shards),
        shards=shards,
        label_names=names,
        **columns,
    )
