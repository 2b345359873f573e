"""The commands on marks: say something about the image of a pseudo label, and take it back."""

import time
from collections.abc import Callable, Iterable

from sqlalchemy.orm import Session

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.errors import Conflict, InvalidRequest, NotFound
from service.review.generations import ReviewedGeneration, load_reviewed
from service.review.mark_store import CLASS_NAMES, count_marks, mark_view
from service.store.database import Database
from service.store.paging import check_owner, read_page
from service.store.run_store import lock_run
from service.store.schema.review_tables import MarkRow
from service.store.schema.tables import RunRow
from service.store.visibility import acting_caller
from service.views.base import Page
from service.views.labels.marks import MarkView
from workers.data.errors import ShardReadError
from workers.data.pseudo_labels import LabeledRow, read_labeled_rows
from workers.specs.review import MOST_MARKS, MarkRequest


class MarkCommands:
    """Marks images of pseudo labels. Thread-safe. `clock` returns Unix seconds."""

    def __init__(self, database: Database, layout: ArtifactLayout, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._layout = layout
        self._clock = clock

    def put(self, run_id: str, generation: int, shard: int, row: int, request: MarkRequest) -> MarkView:
        """Records what the caller says of the image in this row of the pool, in place of what was said before.

        Only classes that were marked as wrong before stay so, if another one is wrong now. Raises InvalidRequest for an
        unknown class; Conflict for an image that training never uses, and if the run has as many marks as it may.
        """
        reviewed = self._reviewed(run_id, generation)
        if request.class_name is not None and request.class_name not in reviewed.classes:
            raise InvalidRequest("class", f"{request.class_name!r} is none of the run's classes")
        labeled = labeled_row(reviewed, shard, row)
        name = _markable(reviewed, labeled, shard, row)
        with self._database.write() as session:
            now = self._clock()
            lock_run(session, run_id, now)
            found = session.get(MarkRow, (run_id, labeled.content_hash.hex()))
            if found is None and count_marks(session, run_id) >= MOST_MARKS:
                raise Conflict(f"{run_id} has {MOST_MARKS} marks, as many as a run may have: delete some of them first")
            mark = found or MarkRow(run_id=run_id, content_hash=labeled.content_hash.hex())
            mark.classes = CLASS_NAMES.dump_json(_classes(request, name, found)).decode()
            mark.verdict = request.verdict
            mark.dataset_id, mark.generation = reviewed.dataset_id, generation
            mark.shard, mark.row, mark.key = shard, row, labeled.key
            mark.marked_by, mark.marked_at = acting_caller(), now
            session.add(mark)
            session.flush()
            return mark_view(mark)

    def delete(self, run_id: str, generation: int, shard: int, row: int) -> None:
        """Takes back what was said of the image in this row. It is no error if there is nothing to take back."""
        reviewed = self._reviewed(run_id, generation)
        content_hash = labeled_row(reviewed, shard, row).content_hash.hex()
        with self._database.write() as session:
            _delete(session, run_id, content_hash)

    def delete_by_hash(self, run_id: str, content_hash: str) -> None:
        """Takes back what was said of an image. Raises NotFound if nothing was."""
        with self._database.write() as session:
            if not _delete(session, run_id, content_hash):
                raise NotFound("mark", f"{run_id}/{content_hash}")

    def list(self, run_id: str, limit: int = 50, cursor: str | None = None) -> Page[MarkView]:
        """Returns a page of the run's marks, newest first. Raises NotFound, InvalidRequest for a bad page."""
        with self._database.read_once() as session:
            keys = (MarkRow.marked_at, MarkRow.content_hash)
            rows, following = read_page(session, MarkRow, keys, limit, cursor, MarkRow.run_id == run_id)
            check_owner(session, rows, RunRow, run_id, "run", run_id)
            return Page(items=[mark_view(row) for row in rows], next_cursor=following)

    def _reviewed(self, run_id: str, generation: int) -> ReviewedGeneration:
        with self._database.read() as session:
            return load_reviewed(session, self._layout, run_id, generation)


def labeled_row(reviewed: ReviewedGeneration, shard: int, row: int) -> LabeledRow:
    """Returns a row of the generation's label files. Raises NotFound, Conflict or ArtifactStoreUnavailable."""
    name = f"{reviewed.run_id}-g{reviewed.labels.number}/{shard}/{row}"
    if shard >= reviewed.shards:
        raise NotFound("label", name)
    try:
        with artifact_store():
            found = rows_if_there(reviewed.labels.labels_uri, shard, [row])
    except ShardReadError as error:
        raise Conflict(str(error)) from error
    if found is None:
        raise Conflict(labels_are_gone(reviewed))
    if row not in found:
        raise NotFound("label", name)
    return found[row]


def rows_if_there(labels_uri: str, shard: int, rows: Iterable[int]) -> dict[int, LabeledRow] | None:
    """Returns rows of a label file, or None where retention has deleted it. Raises ShardReadError, OSError."""
    try:
        return read_labeled_rows(labels_uri, shard, rows)
    except FileNotFoundError:
        return None


def labels_are_gone(reviewed: ReviewedGeneration) -> str:
    """Says that there are no label files any more."""
    return (
        f"the label files of generation {reviewed.labels.number} of {reviewed.run_id} are no longer there: retention "
        "deletes those of earlier generations unless the model is kept"
    )


def _markable(reviewed: ReviewedGeneration, labeled: LabeledRow, shard: int, row: int) -> str:
    """The name of the row's label. Raises Conflict for an image that no student may learn from."""
    if labeled.label is None:
        raise Conflict(f"row {row} of shard {shard} is a broken image: it has no label, and training never uses it")
    if labeled.excluded is not None:
        raise Conflict(
            f"row {row} of shard {shard} is excluded ({labeled.excluded}): the same image is in an evaluation set, and "
            "training never uses it"
        )
    return reviewed.classes[labeled.label]


def _classes(request: MarkRequest, label: str, before: MarkRow | None) -> list[str]:
    if request.class_name is not None:
        return [request.class_name]
    if request.verdict == "right" or before is None or before.verdict != "wrong":
        return [label]
    return sorted({label, *CLASS_NAMES.validate_json(before.classes)})


def _delete(session: Session, run_id: str, content_hash: str) -> bool:
    found = session.get(MarkRow, (run_id, content_hash))
    if found is not None:
        session.delete(found)
    return found is not None
