"""Reads and writes the rows of marks."""

from collections.abc import Iterable, Sequence

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.schema.review_tables import MarkRow
from service.views.base import as_time
from service.views.labels.marks import MarkView
from workers.data.marks import Mark
from workers.specs.review import Verdict

CLASS_NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str])
_VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)


def load_marks(session: Session, run_id: str, classes: Sequence[str]) -> list[Mark]:
    """Returns the run's marks as a selection takes them. `classes` are the class names in index order."""
    index = {name: number for number, name in enumerate(classes)}
    columns = (MarkRow.content_hash, MarkRow.verdict, MarkRow.classes)
    rows = session.execute(select(*columns).where(MarkRow.run_id == run_id).order_by(MarkRow.content_hash))
    marks = []
    for content_hash, verdict, names in rows:
        numbers = [index[name] for name in CLASS_NAMES.validate_json(names)]
        if verdict == "wrong":
            marks.append(Mark(bytes.fromhex(content_hash), None, frozenset(numbers)))
        else:
            marks.append(Mark(bytes.fromhex(content_hash), numbers[0]))
    return marks


def marks_of_hashes(session: Session, run_id: str, content_hashes: Iterable[str]) -> dict[str, MarkView]:
    """Returns what the run says of the images with these content hashes, by content hash."""
    found = session.scalars(
        select(MarkRow).where(MarkRow.run_id == run_id, MarkRow.content_hash.in_(list(content_hashes)))
    )
    return {row.content_hash: mark_view(row) for row in found}


def count_marks(session: Session, run_id: str) -> int:
    """Returns how many marks the run has."""
    return session.execute(select(func.count()).where(MarkRow.run_id == run_id)).scalar_one()


def mark_view(row: MarkRow) -> MarkView:
    return MarkView(
        run_id=row.run_id,
        content_hash=row.content_hash,
        verdict=_VERDICT.validate_python(row.verdict),
        classes=CLASS_NAMES.validate_json(row.classes),
        dataset_id=row.dataset_id,
        generation=row.generation,
        shard=row.shard,
        row=row.row,
        key=row.key,
        marked_by=row.marked_by,
        marked_at=as_time(row.marked_at),
    )
