"""People's marks decide what a student learns: a given class counts, a wrong label does not, and hygiene stays."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.support.made_soft_labels import Place, SoftPool
from workers.data.errors import ShardReadError
from workers.data.marks import Mark, Marks, marks_parquet
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings
from workers.training.input.sources import PseudoLabeledSource

DOUBTFUL, SURE, TORN, BROKEN, HELD_OUT, LAST = (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)
SHARDS = [
    np.array([[0.4, 0.35, 0.25], [0.02, 0.95, 0.03], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]]),
    np.array([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1]]),
]
SETTINGS = SelectionSettings(min_confidence=0.5, fill_up=False)


@pytest.fixture
def pool(tmp_path: Path) -> SoftPool:
    return SoftPool(tmp_path, SHARDS, listed=3, broken=frozenset({BROKEN}), excluded=frozenset({HELD_OUT}))


def targets(pool: SoftPool, kind: Literal["soft", "hard"] = "soft") -> dict[Place, list[float]]:
    """What the student is to answer for each selected image."""
    source = PseudoLabeledSource(pool.pseudo_labels(), 3, Recipe(targets=kind))
    samples = [source.sample(shard, row) for shard, rows in enumerate(source.rows_per_shard) for row in range(rows)]
    places = [tuple(map(int, image.decode().split("/"))) for image, _ in samples]
    return {(shard, row): target.tolist() for (shard, row), (_, target) in zip(places, samples, strict=True)}


def test_a_right_label_passes_any_threshold_with_all_of_the_probability(pool: SoftPool) -> None:
    pool.select(SETTINGS)
    assert pool.selected() == {SURE, TORN, LAST}
    strict = SelectionSettings(min_confidence=1.0, fill_up=False)
    result = pool.select(strict, marks=[Mark(pool.hash_of(DOUBTFUL), label=0)])
    assert pool.selected() == {DOUBTFUL}
    assert targets(pool) == {DOUBTFUL: [1, 0, 0]}
    assert result.marks.model_dump() == {"marks": 1, "given": 1, "changed": 0, "wrong": 0, "not_found": 0}


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_given_class_takes_the_place_of_the_teachers(pool: SoftPool, kind: Literal["soft", "hard"]) -> None:
    result = pool.select(SETTINGS, marks=[Mark(pool.hash_of(SURE), label=2)])
    assert targets(pool, kind)[SURE] == [0, 0, 1]
    assert result.marks.changed == 1
    assert [each.kept for each in result.classes] == [1, 0, 2]


def test_an_image_with_a_wrong_label_is_left_out_and_counted(pool: SoftPool) -> None:
    result = pool.select(SETTINGS, marks=[Mark(pool.hash_of(SURE), None, frozenset({0, 1}))])
    assert pool.selected() == {TORN, LAST}
    assert result.marks.wrong == 1
    assert (result.dropped_held_out, result.dropped_low_confidence) == (1, 1)


def test_a_rejected_class_that_the_teacher_no_longer_prefers_loses_its_probability(pool: SoftPool) -> None:
    result = pool.select(SETTINGS, marks=[Mark(pool.hash_of(TORN), None, frozenset({1}))])
    assert targets(pool)[TORN] == pytest.approx([1 / 7, 0, 6 / 7], abs=1e-3)
    assert result.marks.wrong == 0


def test_marks_bring_back_neither_evaluation_images_nor_broken_ones(pool: SoftPool) -> None:
    marks = [Mark(pool.hash_of(place), label=1) for place in (BROKEN, HELD_OUT)] + [Mark(b"not in the pool!", label=0)]
    result = pool.select(SETTINGS, marks=marks)
    assert pool.selected() == {SURE, TORN, LAST}
    assert result.marks.model_dump() == {"marks": 3, "given": 0, "changed": 0, "wrong": 0, "not_found": 1}


@pytest.mark.parametrize("alignment", ["uniform", "labeled"])
def test_alignment_changes_no_given_label(tmp_path: Path, alignment: Literal["uniform", "labeled"]) -> None:
    pool = SoftPool(tmp_path, SHARDS, listed=3, labeled={"c0000": 1, "c0001": 1, "c0002": 8})
    settings = SelectionSettings(min_confidence=0.3, fill_up=False, distribution_alignment=alignment)
    marks = [Mark(pool.hash_of(SURE), label=0), Mark(pool.hash_of(LAST), None, frozenset({0}))]
    result = pool.select(settings, marks=marks)
    assert targets(pool)[SURE] == [1, 0, 0]
    assert LAST not in pool.selected()
    assert (result.marks.given, result.marks.wrong, result.dropped_held_out) == (1, 1, 0)


@pytest.mark.parametrize("thresholds", ["flexmatch", "freematch"])
def test_thresholds_of_classes_let_a_given_label_pass(
    pool: SoftPool, thresholds: Literal["flexmatch", "freematch"]
) -> None:
    settings = SelectionSettings(min_confidence=0.9, fill_up=False, thresholds=thresholds)
    pool.select(settings, marks=[Mark(pool.hash_of(DOUBTFUL), label=2)])
    assert DOUBTFUL in pool.selected()


def test_a_given_label_is_among_the_first_that_a_cap_keeps(pool: SoftPool) -> None:
    capped = SelectionSettings(min_confidence=0.1, fill_up=False, max_per_class=1)
    pool.select(capped, marks=[Mark(pool.hash_of(DOUBTFUL), label=1)])
    assert pool.selected() == {DOUBTFUL, TORN, LAST}


def test_no_mark_leaves_the_selection_as_it_is(pool: SoftPool) -> None:
    pool.select(SETTINGS, "without")
    pool.select(SETTINGS, "with", marks=[Mark(b"not in the pool!", label=0)])
    with_marks = pool.files("with")
    del with_marks["marks.parquet"]
    assert with_marks == pool.files("without")


def test_a_damaged_file_of_marks_is_named(tmp_path: Path) -> None:
    (tmp_path / "marks.parquet").write_bytes(b"no parquet")
    with pytest.raises(ShardReadError, match=r"marks\.parquet"):
        Marks.read(str(tmp_path / "marks.parquet"))


def test_marks_are_read_as_they_were_written(tmp_path: Path) -> None:
    marks = [Mark(bytes(range(16)), 3), Mark(b"\0" * 16, None, frozenset({1, 2})), Mark(b"x" * 15 + b"\0", 0)]
    (tmp_path / "marks.parquet").write_bytes(marks_parquet(marks))
    found = Marks.read(str(tmp_path / "marks.parquet"))
    assert set(found.by_hash.values()) == set(marks)
    hashes = np.array([b"y" * 16, b"x" * 15 + b"\0", b"\0" * 16, bytes(range(16))], dtype="S16")
    assert found.found_in(hashes) == [(1, marks[2]), (2, marks[1]), (3, marks[0])]
