"""Finds a dataset that was registered before from the same place with the same content."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.datasets import DatasetRequest
from service.datasets.registration.messages import DatasetSummary
from service.store.schema.tables import DatasetRow
from workers.artifact_io import read_bytes_if_there
from workers.data.shards.shard_readers import load_manifest
from workers.specs.datasets import DatasetManifest

_MOST_COMPARED = 5
"""How many datasets with the same digest to compare: each manifest may be large."""


def candidates(session: Session, request: DatasetRequest, found: DatasetSummary) -> list[str]:
    """Returns the ids of the project's datasets whose rows are what the registration found, newest first."""
    same = (
        DatasetRow.project == request.project,
        DatasetRow.uri == request.uri,
        DatasetRow.role == found.role,
        DatasetRow.format == found.format,
        DatasetRow.digest == found.digest,
        DatasetRow.part.is_(None) if request.part is None else DatasetRow.part == request.part.model_dump_json(),
    )
    newest = select(DatasetRow.id).where(*same).order_by(DatasetRow.created_at.desc()).limit(_MOST_COMPARED)
    return list(session.scalars(newest))


def first_alike(layout: ArtifactLayout, dataset_id: str, others: list[str]) -> str | None:
    """Returns the first of `others` whose manifest names the same images as that of `dataset_id`; None if none does.

    A digest does not cover the names of files, and a file may have got another. Raises ArtifactStoreUnavailable.
    """
    if not others:
        return None
    with artifact_store():
        new = load_manifest(layout.manifest(dataset_id))
        return next((other for other in others if _are_alike(new, load_manifest(layout.manifest(other)))), None)


def _are_alike(one: DatasetManifest, other: DatasetManifest) -> bool:
    if one.format == "uri_list":
        return _contents(one) == _contents(other)
    return _content(one) == _content(other)


def _content(manifest: DatasetManifest) -> dict[str, object]:
    return {name: value for name, value in dict(manifest).items() if name not in ("dataset_id", "name")}


def _contents(manifest: DatasetManifest) -> list[object]:
    """The manifest's content with that of the files into which registration has written its list."""
    parts = [read_bytes_if_there(shard.uri) for shard in manifest.shards]
    return [{**_content(manifest), "shards": len(parts)}, *parts]
