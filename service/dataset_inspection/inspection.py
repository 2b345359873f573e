"""Looks at a dataset before it is registered; writes nothing but the parts of a list of URIs."""

from dataclasses import dataclass

from service.dataset_inspection.classes import check_classes, count_classes
from service.dataset_inspection.digest import DatasetDigest, digest_of_files, digest_of_images
from service.dataset_inspection.image_folder_source import open_image_folder_source
from service.dataset_inspection.list_files import LIST_SUFFIXES
from service.dataset_inspection.location import FoundFile, Location, locate
from service.dataset_inspection.parquet_source import PARQUET_SUFFIXES, ParquetSource, open_parquet_source
from service.dataset_inspection.request import DatasetRequest
from service.dataset_inspection.sampling import decode_sample, hash_images
from service.dataset_inspection.source import Source
from service.dataset_inspection.uri_list_source import open_uri_list_source
from service.dataset_inspection.webdataset_source import TAR_SUFFIXES, open_webdataset_source
from service.errors import InvalidRequest
from workers.data.dataset_roots import ANYWHERE, DatasetRoots
from workers.data.errors import ShardReadError
from workers.data.names import IMAGE_SUFFIXES
from workers.specs.datasets import DatasetFormat, DatasetManifest

_SUFFIXES: dict[DatasetFormat, frozenset[str]] = {
    "parquet": PARQUET_SUFFIXES,
    "webdataset": TAR_SUFFIXES,
    "image_folder": IMAGE_SUFFIXES,
    "uri_list": LIST_SUFFIXES,
}


@dataclass(frozen=True)
class HashLimit:
    """Datasets larger than this are not hashed at registration, where a person waits."""

    images: int = 200_000
    bytes: int = 4 << 30


@dataclass(frozen=True)
class InspectedDataset:
    """What was found."""

    manifest: DatasetManifest
    class_counts: dict[str, int] | None
    """Images a class, in index order; None for an unlabeled dataset."""
    content_hashes: list[bytes] | None
    """`workers.data.images.content_hash` of every image that is not empty, repeats included; None over the limit."""
    sampled: int
    sampled_bad: int
    digest: DatasetDigest


def inspect_dataset(
    request: DatasetRequest,
    dataset_id: str,
    parts_uri: str,
    hash_limit: HashLimit | None = None,
    roots: DatasetRoots = ANYWHERE,
) -> InspectedDataset:
    """Lists all files, counts all rows, reads all labels, decodes a sample, and hashes every image up to a limit.

    `parts_uri` is a folder for the parts of a list of URIs, the caller's to delete where the dataset is refused.

    Raises InvalidRequest with the field of the request, and the file and row in the message, for a dataset that
    cannot be worked with, or that lies outside of `roots`.
    """
    _check_request(request)
    try:
        return _inspect(request, dataset_id, parts_uri, hash_limit or HashLimit(), roots)
    except ShardReadError as error:
        raise InvalidRequest("uri", str(error)) from error


def _inspect(
    request: DatasetRequest, dataset_id: str, parts_uri: str, hash_limit: HashLimit, roots: DatasetRoots
) -> InspectedDataset:
    source = _open_source(request, parts_uri, roots)
    rows = sum(shard.rows for shard in source.shards)
    if rows == 0:
        raise InvalidRequest("uri", f"{source.shards[0].uri}: no images, in {len(source.shards)} file(s)")
    class_counts = None if request.role == "unlabeled" else count_classes(source, request.classes)
    sample = decode_sample(source)
    within_limit = rows <= hash_limit.images and source.image_bytes <= hash_limit.bytes
    manifest = _manifest(source, request, dataset_id, rows, tuple(class_counts or ()))
    content_hashes = hash_images(source) if within_limit else None
    return InspectedDataset(
        manifest=manifest,
        class_counts=class_counts,
        content_hashes=content_hashes,
        sampled=sample.images,
        sampled_bad=sample.bad,
        digest=digest_of_files(manifest)
        if content_hashes is None
        else digest_of_images(source, manifest, content_hashes),
    )


def _check_request(request: DatasetRequest) -> None:
    if request.classes is not None and request.role != "unlabeled":
        check_classes(request.classes)


def _open_source(request: DatasetRequest, parts_uri: str, roots: DatasetRoots) -> Source:
    location = locate(request.uri, roots)
    dataset_format = request.format or _guess_format(location)
    files = _files_of(location, dataset_format)
    if dataset_format == "parquet":
        return open_parquet_source(request, location, files)
    if dataset_format == "uri_list":
        return open_uri_list_source(request, location, files, parts_uri, roots)
    for field in ("image_column", "label_column", "key_column"):
        if getattr(request, field) is not None:
            raise InvalidRequest(field, f"{location.uri} is of the format {dataset_format}, which has no columns")
    if dataset_format == "webdataset":
        return open_webdataset_source(request.role, location, files)
    return open_image_folder_source(request.role, location, files)


def _guess_format(location: Location) -> DatasetFormat:
    if location.is_file and _suffix(location, location.files[0]) in LIST_SUFFIXES - PARQUET_SUFFIXES:
        return "uri_list"
    found: dict[DatasetFormat, int] = {}
    for file in location.files:
        for dataset_format, suffixes in _SUFFIXES.items():
            # A folder of images often has tables and texts beside them: lists in a folder must be called so.
            if dataset_format != "uri_list" and _suffix(location, file) in suffixes:
                found[dataset_format] = found.get(dataset_format, 0) + 1
    if not found:
        known = ", ".join(sorted(f".{suffix}" for suffixes in _SUFFIXES.values() for suffix in suffixes))
        raise InvalidRequest("uri", f"{location.uri}: none of its {len(location.files)} file(s) ends in {known}")
    if len(found) > 1:
        kinds = " and ".join(f"{count} file(s) of {name}" for name, count in found.items())
        raise InvalidRequest("format", f"{location.uri}: there are {kinds}; say which are meant")
    return next(iter(found))


def _files_of(location: Location, dataset_format: DatasetFormat) -> list[FoundFile]:
    if location.is_file:
        return list(location.files)
    suffixes = _SUFFIXES[dataset_format]
    files = [file for file in location.files if file.suffix in suffixes]
    if not files:
        endings = ", ".join(sorted(f".{suffix}" for suffix in suffixes))
        raise InvalidRequest(
            "uri", f"{location.uri}: none of its {len(location.files)} file(s) is of {dataset_format} ({endings})"
        )
    return files


def _suffix(location: Location, file: FoundFile) -> str:
    return FoundFile(location.uri.partition("?")[0], file.size).suffix if location.is_file else file.suffix


def _manifest(
    source: Source, request: DatasetRequest, dataset_id: str, rows: int, classes: tuple[str, ...]
) -> DatasetManifest:
    columns: dict[str, str | None] = {}
    if isinstance(source, ParquetSource):
        columns = {"label_column": source.label_column, "key_column": source.key_column}
    return DatasetManifest(
        dataset_id=dataset_id,
        role=request.role,
        format=source.format,
        classes=classes,
        image_column=source.image_column if isinstance(source, ParquetSource) else "image",
        rows=rows,
        shards=source.shards,
        **columns,
    )
