"""Marks on both databases: what is said last counts, selections take what there is, and other projects see nothing."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.config.run import RunConfig
from service.errors import Conflict, NotFound, ServiceError
from service.review import marks as module
from service.review.labels import ReviewFilter
from service.review.mark_store import load_marks
from service.store.visibility import acting_as, only_projects
from tests.support.made_labels import write_labels
from tests.support.workbench import Workbench
from workers.data.marks import Mark
from workers.specs.review import MarkRequest

RIGHT, WRONG = MarkRequest(verdict="right"), MarkRequest(verdict="wrong")
DOG = MarkRequest(verdict="class", class_name="dog")


@pytest.fixture
def run(bench: Workbench, run_config: Callable[..., RunConfig], tmp_path: Path) -> str:
    """A run of the project pets that has labeled three images: a cat, a dog and a cat."""
    run_id = str(bench.commands.create_run(run_config(project="pets")).id)
    bench.play_to_the_end(bench.reconciler())
    images = tmp_path / "pool.parquet"
    pq.write_table(pa.table({"image": pa.array([b"a", b"b", b"c"], pa.binary())}), images)
    folder = Path(bench.settings.artifact_root) / "runs" / run_id
    write_labels(folder, 1, images, [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    return run_id


def stored(bench: Workbench, run: str) -> set[Mark]:
    with bench.database.read() as session:
        return set(load_marks(session, run, ("cat", "dog")))


def test_a_selection_takes_what_was_said_last(bench: Workbench, run: str) -> None:
    marks = bench.services.marks
    with acting_as("key:ana", None):
        first = marks.put(run, 1, 0, 0, WRONG)
    assert first.marked_by == "key:ana"
    bench.clock.advance(10)
    marks.put(run, 1, 0, 1, RIGHT)
    bench.clock.advance(10)
    marks.put(run, 1, 0, 2, DOG)
    hashes = {mark.key: bytes.fromhex(mark.content_hash) for mark in marks.list(run).items}
    assert list(hashes) == ["pool.parquet:2", "pool.parquet:1", "pool.parquet:0"], "newest first"
    cat, dog, other = (hashes[f"pool.parquet:{row}"] for row in range(3))
    assert stored(bench, run) == {Mark(cat, None, frozenset({0})), Mark(dog, 1), Mark(other, 1)}
    marks.put(run, 1, 0, 0, RIGHT)
    marks.delete(run, 1, 0, 1)
    assert stored(bench, run) == {Mark(cat, 0), Mark(other, 1)}


def test_pages_of_marks_follow_one_another(bench: Workbench, run: str) -> None:
    for row in range(3):
        bench.services.marks.put(run, 1, 0, row, RIGHT)
    first = bench.services.marks.list(run, limit=2)
    second = bench.services.marks.list(run, 2, first.next_cursor)
    assert len({mark.row for mark in [*first.items, *second.items]}) == 3
    assert second.next_cursor is None


def test_a_run_has_no_more_marks_than_it_may(bench: Workbench, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MARKS", 2)
    for row in range(2):
        bench.services.marks.put(run, 1, 0, row, RIGHT)
    with pytest.raises(Conflict, match="2 marks"):
        bench.services.marks.put(run, 1, 0, 2, RIGHT)
    bench.services.marks.put(run, 1, 0, 0, WRONG)


@pytest.mark.attack
def test_callers_of_other_projects_find_nothing(bench: Workbench, run: str) -> None:
    services = bench.services
    services.marks.put(run, 1, 0, 0, RIGHT)
    asked: list[Callable[[], object]] = [
        lambda: services.labels.page(run, 1, ReviewFilter()),
        lambda: services.pictures.picture(run, 1, 0, 0),
        lambda: services.marks.put(run, 1, 0, 1, RIGHT),
        lambda: services.marks.delete(run, 1, 0, 0),
        lambda: services.marks.delete_by_hash(run, services.marks.list(run).items[0].content_hash),
        lambda: services.marks.list(run),
        lambda: services.mark_exports.table(run, "parquet"),
    ]
    with only_projects(frozenset({"cars"})):
        for ask in asked:
            with pytest.raises(NotFound):
                ask()
    assert len(services.marks.list(run).items) == 1


def test_what_cannot_be_read_is_a_conflict_and_no_failure(bench: Workbench, run: str) -> None:
    folder = Path(bench.settings.artifact_root) / "runs" / run / "gen-1" / "label"
    (folder / "part-00000.parquet").write_bytes(b"no parquet")
    for ask in (
        lambda: bench.services.marks.put(run, 1, 0, 0, RIGHT),
        lambda: bench.services.labels.page(run, 1, ReviewFilter()),
    ):
        with pytest.raises(ServiceError, match=r"part-00000\.parquet"):
            ask()
