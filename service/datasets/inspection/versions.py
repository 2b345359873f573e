"""Inspects the files that a new version adds to a dataset. It reads none of those that the version before has."""

from collections.abc import Sequence
from dataclasses import replace

from service.artifacts.layout import ArtifactLayout
from service.config.datasets import DatasetRequest
from service.datasets.formats.arrow_source import ArrowSource
from service.datasets.formats.parquet_source import ParquetSource
from service.datasets.formats.source import Source
from service.datasets.inspection.chosen_rows import choose_rows
from service.datasets.inspection.classes import count_classes
from service.datasets.inspection.digest import (
    DatasetDigest,
    digest_of_files,
    digest_of_images,
    digest_of_version,
)
from service.datasets.inspection.findings import (
    warnings_of_classes,
    warnings_of_files,
    warnings_of_repeats,
    warnings_of_sample,
)
from service.datasets.inspection.inspection import HashLimit, InspectedDataset, find_files, open_source
from service.datasets.inspection.sampling import decode_sample, hash_images
from service.datasets.places.location import locate
from service.datasets.places.registered_files import (
    Registration,
    check_unchanged,
    files_of_shards,
    files_there,
    read_registration,
    without_known,
)
from service.errors import InvalidRequest
from workers.artifact_io import exists, read_bytes_if_there
from workers.data.dataset_roots import ANYWHERE, DatasetRoots
from workers.data.errors import ShardReadError
from workers.data.hashes import HASH_BYTES, read_hash_rows, read_hashes
from workers.data.shards.shard_readers import load_manifest
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetManifest, DigestOf, Shard


class VersionBefore(Frozen):
    """What the database holds of the dataset that a new version continues."""

    dataset_id: str
    class_counts: dict[str, int] | None
    sampled: int
    sampled_bad: int
    picture_side: int | None
    hashed: bool
    digest: str | None
    digest_of: DigestOf | None


def inspect_version(
    request: DatasetRequest,
    before: VersionBefore,
    dataset_id: str,
    layout: ArtifactLayout,
    hash_limit: HashLimit | None = None,
    roots: DatasetRoots = ANYWHERE,
) -> InspectedDataset:
    """Finds the files at `request.uri` that the version before lacks, inspects them as a registration does, and returns
    a dataset of the former's shards followed by theirs.

    Of `request` only the name and the place count: format, columns and classes are those of the version before. Raises
    InvalidRequest, always for the field `uri`: if files of the version before have changed or vanished, if nothing is
    new, and if what is new does not fit or cannot be used.
    """
    try:
        return _inspect(request, before, dataset_id, layout, hash_limit or HashLimit(), roots)
    except ShardReadError as error:
        raise InvalidRequest("uri", str(error)) from error
    except InvalidRequest as error:
        message = error.message if error.field == "uri" else f"{error.message} ({error.field} is the dataset's own)"
        raise InvalidRequest("uri", message) from error


def _inspect(
    asked: DatasetRequest,
    before: VersionBefore,
    dataset_id: str,
    layout: ArtifactLayout,
    hash_limit: HashLimit,
    roots: DatasetRoots,
) -> InspectedDataset:
    former = load_manifest(layout.manifest(before.dataset_id))
    registered = read_registration(layout.registered_files(before.dataset_id))
    if registered is None:
        registered = Registration(asked, () if former.format == "uri_list" else files_of_shards(former.shards))
    if former.format == "uri_list" and not registered.files:
        made = "an export of a labeling tool, or was registered by an earlier release"
        raise InvalidRequest("uri", f"{former.called} cannot grow, since its list was made of {made}: register it anew")
    check_unchanged(registered.files, former)
    request = _of_the_same_kind(registered.request, asked, former)
    place = find_files(request, locate(request.uri, roots))
    location = place.location
    warnings = warnings_of_files(request.role, location, place.chosen)
    new, already = without_known(location, place.chosen.files, registered.files)
    if not new:
        raise InvalidRequest("uri", f"{location.uri}: none of its {already:,} file(s) is new to {former.called}")
    if already:
        warnings.append(f"{already:,} file(s) are in the version before already, and are not read again")
    registration = Registration(request, (*registered.files, *files_there(location, new)))
    added_files = replace(place, chosen=replace(place.chosen, files=new))
    whole = open_source(request, added_files, layout.list_parts(dataset_id), roots)
    if not any(shard.rows for shard in whole.shards):
        raise InvalidRequest("uri", f"{whole.shards[0].uri}: no images, in {len(whole.shards)} new file(s)")
    warnings += whole.warnings
    sample = decode_sample(whole)
    warnings += warnings_of_sample(sample)
    former_hashes = _hashes_of(before, layout, former)
    rows = former.rows + sum(shard.rows for shard in whole.shards)
    within_limit = rows <= hash_limit.images and whole.image_bytes <= hash_limit.bytes
    rows_to_add = choose_rows(
        request,
        whole,
        hash_images(whole) if former_hashes is not None and within_limit else None,
        [read_hashes(uri) for each in request.without if exists(uri := layout.hashes(each))],
    )
    source, new_hashes = rows_to_add.source, rows_to_add.hashes
    warnings += rows_to_add.warnings
    added = _added(former, whole, source.shards)
    manifest = former.model_copy(
        update={
            "dataset_id": dataset_id,
            "name": asked.name,
            "rows": former.rows + added.rows,
            "shards": (*former.shards, *added.shards),
        }
    )
    counts = None if before.class_counts is None else count_classes(source, former.classes)
    by_row: list[bytes | None] | None = None
    if former_hashes is not None and new_hashes is not None:
        warnings += warnings_of_repeats(source, new_hashes, labeled=counts is not None)
        warnings += _warnings_of_old_images(former_hashes, new_hashes)
        by_row = [*former_hashes, *(value for hashes in new_hashes for value in hashes)]
    class_counts = _summed(before.class_counts, counts)
    return InspectedDataset(
        manifest=manifest,
        class_counts=class_counts,
        content_hashes=None if by_row is None else [value for value in by_row if value is not None],
        hashes_by_row=by_row,
        sampled=before.sampled + sample.images,
        sampled_bad=before.sampled_bad + sample.bad,
        picture_side=before.picture_side or sample.side,
        digest=_digest(before, manifest, added, source, new_hashes),
        registration=registration,
        warnings=(*warnings, *warnings_of_classes(class_counts or {})),
    )


def _of_the_same_kind(registered: DatasetRequest, asked: DatasetRequest, former: DatasetManifest) -> DatasetRequest:
    """Returns the request that reads new files as those before were read."""
    columns = {}
    if former.format in ("parquet", "arrow"):
        columns = {
            "image_column": former.image_column,
            "label_column": former.label_column,
            "key_column": former.key_column,
        }
    same = {
        "name": asked.name,
        "uri": asked.uri,
        "format": former.format,
        "classes": former.classes or None,
        # Another place has no split of that name, or has it in a folder of its own.
        "split": registered.split if asked.uri == registered.uri else None,
        # New images are no part of the split of the old ones.
        "part": None,
    }
    return registered.model_copy(update=same | columns)


def _added(former: DatasetManifest, source: Source, shards: tuple[Shard, ...]) -> DatasetManifest:
    """Returns the new files as a dataset of their own, which is read as the former is. Raises InvalidRequest."""
    if isinstance(source, ParquetSource | ArrowSource) and (source.class_names or ()) != former.label_names:
        raise InvalidRequest("uri", f"{source.shards[0].uri}: its labels do not have the names that the dataset's have")
    return former.model_copy(update={"rows": sum(shard.rows for shard in shards), "shards": shards})


def _hashes_of(before: VersionBefore, layout: ArtifactLayout, former: DatasetManifest) -> list[bytes | None] | None:
    """Returns the content hash of each row of the version before, None for a row that is empty or repeats another.

    Returns None as a whole if that version has no content hashes, or none with their rows.
    """
    data = read_bytes_if_there(layout.hashes(before.dataset_id)) if before.hashed else None
    rows = read_hash_rows(layout.hash_rows(before.dataset_id)) if before.hashed else None
    if data is None or rows is None:
        return None
    by_row: list[bytes | None] = [None] * former.rows
    for place, row in enumerate(rows.tolist()):
        by_row[row] = data[place * HASH_BYTES : (place + 1) * HASH_BYTES]
    return by_row


def _warnings_of_old_images(before: Sequence[bytes | None], added: Sequence[Sequence[bytes | None]]) -> list[str]:
    known = {value for value in before if value is not None}
    again = sum(value in known for hashes in added for value in hashes if value is not None)
    return [f"{again:,} of the new image(s) are in the version before already, byte for byte"] if again else []


def _summed(before: dict[str, int] | None, added: dict[str, int] | None) -> dict[str, int] | None:
    if before is None or added is None:
        return None
    return {name: count + added[name] for name, count in before.items()}


def _digest(
    before: VersionBefore,
    manifest: DatasetManifest,
    added: DatasetManifest,
    source: Source,
    new_hashes: Sequence[Sequence[bytes | None]] | None,
) -> DatasetDigest:
    if before.digest is None or before.digest_of is None:
        return digest_of_files(manifest)
    if new_hashes is None:
        digest = digest_of_files(added)
    else:
        present = [value for hashes in new_hashes for value in hashes if value is not None]
        digest = digest_of_images(source, added, present)
    return digest_of_version(DatasetDigest(before.digest, before.digest_of), digest)
