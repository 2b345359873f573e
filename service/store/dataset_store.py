"""Reads registered datasets."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.schema.tables import DatasetRow
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf

CLASSES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
CLASS_COUNTS: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
WARNINGS: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
DATASET_ROLE: TypeAdapter[DatasetRole] = TypeAdapter(DatasetRole)
DATASET_FORMAT: TypeAdapter[DatasetFormat] = TypeAdapter(DatasetFormat)
DIGEST_OF: TypeAdapter[DigestOf] = TypeAdapter(DigestOf)


def load_classes(session: Session, dataset_id: str) -> tuple[str, ...]:
    """Returns the dataset's class names in index order. Raises NoResultFound for an unknown dataset."""
    text = session.execute(select(DatasetRow.classes).where(DatasetRow.id == dataset_id)).scalar_one()
    return CLASSES.validate_json(text)


@dataclass(frozen=True)
class DatasetHead:
    """What the specs of stages contain of a dataset."""

    classes: tuple[str, ...]
    """The class names in index order."""
    hashed: bool
    """Whether the artifact root holds its content hashes."""


def load_dataset_heads(session: Session, dataset_ids: Iterable[str]) -> dict[str, DatasetHead]:
    """Returns the heads of the datasets by id, without those that do not exist."""
    columns = (DatasetRow.id, DatasetRow.classes, DatasetRow.hashed)
    rows = session.execute(select(*columns).where(DatasetRow.id.in_(list(dataset_ids))))
    return {row.id: DatasetHead(CLASSES.validate_json(row.classes), row.hashed) for row in rows}


def load_projects(session: Session, dataset_ids: Iterable[str]) -> frozenset[str]:
    """Returns the projects that the datasets belong to."""
    rows = session.scalars(select(DatasetRow.project).where(DatasetRow.id.in_(list(dataset_ids))).distinct())
    return frozenset(rows)
