"""Reads and writes registered datasets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.schema.tables import DatasetRow
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf

if TYPE_CHECKING:  # what the reconciler, who reads datasets too, need not import
    from service.config.datasets import DatasetRequest
    from service.datasets.registration.messages import DatasetSummary

CLASSES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
CLASS_COUNTS: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
WARNINGS: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
DATASET_ROLE: TypeAdapter[DatasetRole] = TypeAdapter(DatasetRole)
DATASET_FORMAT: TypeAdapter[DatasetFormat] = TypeAdapter(DatasetFormat)
DIGEST_OF: TypeAdapter[DigestOf] = TypeAdapter(DigestOf)


def insert_dataset(session: Session, request: DatasetRequest, found: DatasetSummary, now: float) -> DatasetRow:
    """Adds the row of a dataset whose manifest and hashes are on file."""
    counts = found.class_counts
    row = DatasetRow(
        id=found.dataset_id,
        name=request.name,
        role=found.role,
        format=found.format,
        uri=request.uri,
        classes=CLASSES.dump_json(found.classes).decode(),
        rows=found.rows,
        shards=found.shards,
        class_counts=None if counts is None else CLASS_COUNTS.dump_json(counts).decode(),
        sampled=found.sampled,
        sampled_bad=found.sampled_bad,
        hashed=found.hashed,
        digest=found.digest,
        digest_of=found.digest_of,
        warnings=WARNINGS.dump_json(found.warnings).decode(),
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


def load_projects(session: Session, dataset_ids: Iterable[str]) -> frozenset[str]:
    """The projects that these datasets belong to."""
    rows = session.scalars(select(DatasetRow.project).where(DatasetRow.id.in_(list(dataset_ids))).distinct())
    return frozenset(rows)
