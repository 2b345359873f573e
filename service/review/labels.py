"""The query for pages of pseudo labels: what a person should look at first, with all that is known of each image."""

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.errors import Conflict, InvalidRequest
from service.review.candidates import ReviewCandidates, find_candidates
from service.review.generations import LabelsOfGeneration, ReviewedGeneration, load_reviewed
from service.review.mark_store import marks_of_hashes
from service.review.marks import labels_are_gone, rows_if_there
from service.store.database import Database
from service.views.labels.marks import MarkView
from service.views.labels.pages import ClassProbability, Opinion, PseudoLabelPage, PseudoLabelView
from workers.data.errors import ShardReadError
from workers.data.pseudo_labels import LabeledRow, read_copies
from workers.data.review_lists import ReviewRows
from workers.specs.review import ReviewOrder

_READERS = 8
_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9a-f]{16})")

Place = tuple[int, int]
"""A shard and a row of it."""


@dataclass(frozen=True)
class ReviewFilter:
    """Which pseudo labels of a generation to show."""

    order: ReviewOrder = "uncertain"
    class_name: str | None = None
    selected: bool | None = None
    """True: only images that the student trains on. False: only the others. None: both."""


@dataclass(frozen=True)
class _Details:
    rows: Mapping[Place, LabeledRow]
    before: Mapping[Place, LabeledRow]
    after: Mapping[Place, LabeledRow]
    copies: Mapping[Place, int]


class LabelQueries:
    """Reads pseudo labels. Thread-safe."""

    def __init__(self, database: Database, layout: ArtifactLayout) -> None:
        self._database = database
        self._layout = layout

    def page(
        self, run_id: str, generation: int, asked: ReviewFilter, limit: int = 24, cursor: str | None = None
    ) -> PseudoLabelPage:
        """Returns a page of pseudo labels.

        Raises NotFound; InvalidRequest for an unknown class or a cursor of another listing; Conflict before there are
        labels and after retention has deleted them; ArtifactStoreUnavailable.
        """
        with self._database.read() as session:
            reviewed = load_reviewed(session, self._layout, run_id, generation)
        start = _start(cursor, run_id, generation, asked)
        try:
            with artifact_store():
                candidates = _candidates(reviewed, asked)
                rows = candidates.rows.taken(slice(start, start + limit))
                details = _details(reviewed, rows)
        except ShardReadError as error:
            raise Conflict(str(error)) from error
        if details is None:
            raise Conflict(labels_are_gone(reviewed))
        hashes = {row.content_hash.hex() for row in details.rows.values()}
        with self._database.read_once() as session:
            marks = marks_of_hashes(session, run_id, hashes)
        end = start + len(rows)
        following = _cursor(end, run_id, generation, asked) if end < len(candidates.rows) else None
        return PseudoLabelPage(
            items=[_view(reviewed, place, details, marks) for place in _places(rows) if place in details.rows],
            next_cursor=following,
            order=asked.order,
            made_from=candidates.made_from,
            rows=len(candidates.rows),
            notes=_notes(reviewed, asked, candidates),
        )


def _candidates(reviewed: ReviewedGeneration, asked: ReviewFilter) -> ReviewCandidates:
    try:
        found = find_candidates(reviewed, asked.order)
    except FileNotFoundError as error:
        raise Conflict(
            f"label files of generation {reviewed.labels.number} of {reviewed.run_id}, or those that it is compared "
            "with, are no longer there: retention deletes those of earlier generations unless the model is kept"
        ) from error
    rows = found.rows
    if asked.class_name is not None:
        if asked.class_name not in reviewed.classes:
            raise InvalidRequest("class", f"{asked.class_name!r} is none of the run's classes")
        rows = rows.taken(rows.labels == reviewed.classes.index(asked.class_name))
    if asked.selected is not None:
        rows = rows.taken(rows.selected == int(asked.selected))
    return ReviewCandidates(rows, found.made_from, found.notes)


def _details(reviewed: ReviewedGeneration, rows: ReviewRows) -> _Details | None:
    """What the label files and the selection say of the rows; None where retention has deleted the label files."""
    by_shard: dict[int, list[int]] = {}
    for shard, row in _places(rows):
        by_shard.setdefault(shard, []).append(row)
    with ThreadPoolExecutor(_READERS) as readers:
        parts = list(readers.map(partial(_details_of_shard, reviewed), by_shard, by_shard.values()))
    if any(part is None for part in parts):
        return None
    found = [part for part in parts if part is not None]
    return _Details(
        rows={place: row for part in found for place, row in part.rows.items()},
        before={place: row for part in found for place, row in part.before.items()},
        after={place: row for part in found for place, row in part.after.items()},
        copies={place: number for part in found for place, number in part.copies.items()},
    )


def _details_of_shard(reviewed: ReviewedGeneration, shard: int, rows: list[int]) -> _Details | None:
    here = rows_if_there(reviewed.labels.labels_uri, shard, rows)
    if here is None:
        return None

    def same_images(labels: LabelsOfGeneration | None) -> dict[Place, LabeledRow]:
        found = None if labels is None else rows_if_there(labels.labels_uri, shard, rows)
        # Another pool may have another image in this place.
        is_same = ((row, one) for row, one in (found or {}).items() if one.content_hash == here[row].content_hash)
        return {(shard, row): one for row, one in is_same}

    copies: dict[int, int] = {}
    if reviewed.labels.selection_uri is not None:
        try:
            copies = read_copies(reviewed.labels.selection_uri, shard)
        except FileNotFoundError:
            copies = {}
    return _Details(
        rows={(shard, row): one for row, one in here.items()},
        before=same_images(reviewed.before),
        after=same_images(reviewed.after),
        copies={(shard, row): copies.get(row, 0) for row in rows},
    )


def _view(
    reviewed: ReviewedGeneration, place: Place, details: _Details, marks: Mapping[str, MarkView]
) -> PseudoLabelView:
    (shard, row), labeled, classes = place, details.rows[place], reviewed.classes
    assert labeled.label is not None, "an image without a label is in no list"
    copies = None if reviewed.labels.selection_uri is None else details.copies[place]
    folder = f"/runs/{reviewed.run_id}/generations/{reviewed.labels.number}/labels"
    return PseudoLabelView(
        shard=shard,
        row=row,
        key=labeled.key,
        content_hash=labeled.content_hash.hex(),
        label=classes[labeled.label],
        confidence=labeled.confidence or 0.0,
        top_classes=[ClassProbability(name=classes[index], probability=p) for index, p in labeled.top],
        selected=None if copies is None else copies > 0,
        copies=copies,
        previous=_opinion(details.before.get(place), reviewed.before, classes),
        student=_opinion(details.after.get(place), reviewed.after, classes),
        mark=marks.get(labeled.content_hash.hex()),
        picture=f"{folder}/{shard}/{row}/picture",
    )


def _opinion(labeled: LabeledRow | None, labels: LabelsOfGeneration | None, classes: tuple[str, ...]) -> Opinion | None:
    if labeled is None or labels is None or labeled.label is None or labeled.confidence is None:
        return None
    return Opinion(generation=labels.number, label=classes[labeled.label], confidence=labeled.confidence)


def _notes(reviewed: ReviewedGeneration, asked: ReviewFilter, candidates: ReviewCandidates) -> list[str]:
    notes = list(candidates.notes)
    if asked.order != "disagrees" and reviewed.why_no_student is not None:
        notes.append(reviewed.why_no_student)
    if reviewed.labels.selection_uri is None:
        notes.append(f"The selection of generation {reviewed.labels.number} is not made yet.")
    return notes


def _places(rows: ReviewRows) -> list[Place]:
    return list(zip(rows.shards.tolist(), rows.rows.tolist(), strict=True))


def _start(cursor: str | None, run_id: str, generation: int, asked: ReviewFilter) -> int:
    if cursor is None:
        return 0
    found = _CURSOR.fullmatch(cursor)
    start = int(found[1]) if found else 0
    if cursor != _cursor(start, run_id, generation, asked):
        raise InvalidRequest("cursor", "the cursor is not one that this listing gave")
    return start


def _cursor(start: int, run_id: str, generation: int, asked: ReviewFilter) -> str:
    """The cursor of the page that begins at `start`. It fits this listing alone."""
    listing = json.dumps([run_id, generation, asked.order, asked.class_name, asked.selected])
    return f"{start}.{hashlib.blake2b(listing.encode(), digest_size=8).hexdigest()}"
