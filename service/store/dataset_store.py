"""Reads and writes registered datasets."""

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.tables import DatasetRow

CLASSES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
CLASS_COUNTS: TypeAdapter[dict[str, int] | None] = TypeAdapter(dict[str, int] | None)


def load_classes(session: Session, dataset_id: str) -> tuple[str, ...]:
    """Class names in index order. Raises NoResultFound for an unknown dataset."""
    text = session.execute(select(DatasetRow.classes).where(DatasetRow.id == dataset_id)).scalar_one()
    return CLASSES.validate_json(text)
