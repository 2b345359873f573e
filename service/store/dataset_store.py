"""Reads and writes registered datasets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import DatasetRow
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf

if TYPE_CHECKING:  # it decodes images, which the reconciler, who reads datasets too, need not import
    from service.dataset_inspection import DatasetRequest, InspectedDataset

CLASSES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
CLASS_COUNTS: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
WARNINGS: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
DATASET_ROLE: TypeAdapter[DatasetRole] = TypeAdapter(DatasetRole)
DATASET_FORMAT: TypeAdapter[DatasetFormat] = TypeAdapter(DatasetFormat)
DIGEST_OF: TypeAdapter[DigestOf] = TypeAdapter(DigestOf)


def insert_dataset(session: Session, request: DatasetRequest, inspected: InspectedDataset, now: float) -> DatasetRow:
    """Adds the row of a dataset whose manifest and hashes are on file."""
    manifest, counts = inspected.manifest, inspected.class_counts
    row = DatasetRow(
        id=manifest.dataset_id,
        name=request.name,
        role=manifest.role,
        format=manifest.format,
        uri=request.uri,
        classes=CLASSES.dump_json(manifest.classes).decode(),
        rows=manifest.rows,
        shards=len(manifest.shards),
        class_counts=None if counts is None else CLASS_COUNTS.dump_json(counts).decode(),
        sampled=inspected.sampled,
        sampled_bad=inspected.sampled_bad,
        hashed=inspected.content_hashes is not None,
        digest=inspected.digest.value,
        digest_of=inspected.digest.of,
        warnings=WARNINGS.dump_json(inspected.warnings).decode(),
        created_at=now,
        project=request.project,
    )
    session.add(row)
    session.flush()
    return row


def load_classes(session: Session, dataset_id: str) -> tuple[str, ...]:
    """Class names in index order. Raises NoResultFound for an unknown dataset."""
    text = session.execute(select(DatasetRow.classes).where(DatasetRow.id == dataset_id)).scalar_one()
    return CLASSES.validate_json(text)


@dataclass(frozen=True)
class DatasetHead:
    """What stages are told of a dataset."""

    classes: tuple[str, ...]
    """Names, in index order."""
    hashed: bool
    """Whether its content hashes are on file."""


def load_dataset_heads(session: Session, dataset_ids: Iterable[str]) -> dict[str, DatasetHead]:
    """By id; without those that are unknown."""
    columns = (DatasetRow.id, DatasetRow.classes, DatasetRow.hashed)
    rows = session.execute(select(*columns).where(DatasetRow.id.in_(list(dataset_ids))))
    return {row.id: DatasetHead(CLASSES.validate_json(row.classes), row.hashed) for row in rows}
