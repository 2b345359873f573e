"""Distribution alignment: against the formula on whole rows, and what the student is then asked to answer."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.made_soft_labels import Distributions, Place, SoftPool, peaked
from workers.artifact_io import write_bytes
from workers.data.alignment import read_alignment
from workers.data.errors import ShardReadError
from workers.runtime.stage_reporter import StageError
from workers.selection import shard_ranges, survey
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason
from workers.specs.selection import SelectionSettings
from workers.training.input.sources import PseudoLabeledSource

UNIFORM = SelectionSettings(distribution_alignment="uniform", min_confidence=0.0, fill_up=False)
LABELED = UNIFORM.model_copy(update={"distribution_alignment": "labeled"})


def aligned(pool: SoftPool, target: npt.NDArray[np.float64]) -> tuple[dict[Place, npt.NDArray[np.float64]], np.ndarray]:
    """Every usable row times target / mean, normalised, by its place; and the mean of all rows before."""
    stored = pool.as_stored()
    rows = {(shard, row): stored[shard][row] for shard, row in pool.usable()}
    mean = np.mean(list(rows.values()), axis=0)
    weighted = {place: row * (target + 1e-6) / (mean + 1e-6) for place, row in rows.items()}
    return {place: row / row.sum() for place, row in weighted.items()}, mean


def skewed(root: Path, classes: int = 4, listed: int = 4, **more: object) -> SoftPool:
    """Predictions of a teacher that prefers the first classes."""
    rng = np.random.default_rng(2)
    towards = np.linspace(2.0, 0.2, classes)
    shards: list[Distributions] = [rng.dirichlet(towards, size=rows) for rows in (60, 0, 25, 140)]
    return SoftPool(root, shards, listed, **more)  # type: ignore[arg-type]


def distance(one: Sequence[float | None] | npt.NDArray[np.float64], other: Sequence[float]) -> float:
    return float(np.abs(np.array(one, dtype=np.float64) - np.array(other)).sum())


@pytest.mark.parametrize(("classes", "listed"), [(4, 4), (40, 40), (130, 5), (130, 1)])
def test_labels_means_and_targets_are_those_of_the_formula_on_whole_rows(
    tmp_path: Path, classes: int, listed: int
) -> None:
    """Few classes are listed as a whole; of many classes the rest of a row is spread over those that are not."""
    broken, excluded = frozenset({(0, 3)}), frozenset({(3, 7), (3, 8)})
    pool = skewed(tmp_path, classes, listed, broken=broken, excluded=excluded)
    uniform = np.full(classes, 1 / classes)
    rows, mean = aligned(pool, uniform)
    expected = np.mean(list(rows.values()), axis=0)

    result = pool.select(UNIFORM)
    assert [each.predicted_share for each in result.classes] == pytest.approx(mean.tolist(), rel=1e-4)
    assert [each.target_share for each in result.classes] == pytest.approx(uniform.tolist())
    assert [each.aligned_share for each in result.classes] == pytest.approx(expected.tolist(), rel=1e-4)
    labels = np.bincount([row.argmax() for row in rows.values()], minlength=classes)
    teacher = np.bincount([pool.shards[shard][row].argmax() for shard, row in rows], minlength=classes)
    assert [each.kept for each in result.classes] == labels.tolist()
    assert listed == 1 or labels.tolist() != teacher.tolist(), "alignment changed some labels"
    assert pool.selected() == set(rows)

    source = PseudoLabeledSource(pool.pseudo_labels(), classes, Recipe())
    for (shard, row), (number, place) in zip(sorted(rows), _samples(source), strict=True):
        image, target = source.sample(number, place)
        assert image == f"{shard}/{row}".encode()
        assert target.tolist() == pytest.approx(rows[shard, row].tolist(), abs=1e-5)


def test_a_skewed_teacher_is_aligned_to_the_shares_of_the_labeled_images(tmp_path: Path) -> None:
    """A teacher of soft predictions comes within a hundredth; the order of the labeled set's classes is another."""
    rng = np.random.default_rng(5)
    images = {"c0000": 10, "c0001": 20, "c0002": 30, "c0003": 40}
    pool = SoftPool(tmp_path, [rng.dirichlet([40, 30, 20, 10], size=400)], 4, labeled=images)
    result = pool.select(LABELED)
    target = [0.1, 0.2, 0.3, 0.4]
    assert [each.target_share for each in result.classes] == pytest.approx(target)
    before = distance([each.predicted_share for each in result.classes], target)
    after = distance([each.aligned_share for each in result.classes], target)
    assert before > 0.7 > 0.02 > after
    found = (result.distance_before_alignment, result.distance_after_alignment)
    assert found == pytest.approx((before / 2, after / 2))
    targets = [PseudoLabeledSource(pool.pseudo_labels(), 4, Recipe()).sample(0, row)[1] for row in range(400)]
    assert distance(np.mean(targets, axis=0), target) < 0.02, "and so do the student's targets"


def test_filter_and_thresholds_are_those_of_aligned_labels(tmp_path: Path) -> None:
    pool = skewed(tmp_path)
    rows, _ = aligned(pool, np.full(4, 0.25))
    sure = {place for place, row in rows.items() if row.max() >= 0.6}
    result = pool.select(UNIFORM.model_copy(update={"min_confidence": 0.6}))
    assert pool.selected() == sure
    assert result.dropped_low_confidence == len(rows) - len(sure)

    flexible = UNIFORM.model_copy(update={"min_confidence": 0.6, "thresholds": "flexmatch"})
    by_class = np.bincount([rows[place].argmax() for place in sure], minlength=4)
    learned = by_class / max(by_class.max(), len(rows) - len(sure))
    expected = 0.6 * learned / (2 - learned)
    found = pool.select(flexible, "flexible")
    assert [each.threshold for each in found.classes] == pytest.approx(expected.tolist())
    assert pool.selected("flexible") == {p for p, row in rows.items() if row.max() >= expected[row.argmax()]}


def test_dropped_duplicates_count_for_no_mean_and_are_counted_as_without_alignment(tmp_path: Path) -> None:
    pool = skewed(tmp_path)
    (tmp_path / "labels" / "duplicates").mkdir()
    listed = pa.table({"row": pa.array([1, 5, 9], pa.int32())})
    pq.write_table(listed, tmp_path / "labels" / "duplicates" / "part-00002.parquet")
    plain = pool.select(SelectionSettings(min_confidence=0.0, fill_up=False, duplicates="drop"), "plain")
    result = pool.select(UNIFORM.model_copy(update={"duplicates": "drop"}))
    assert result.dropped_duplicates == plain.dropped_duplicates == 3
    assert (result.images_labeled, result.kept) == (plain.images_labeled, plain.kept) == (225, 222)
    stored = pool.as_stored()
    rows = [stored[shard][row] for shard, row in pool.usable() if (shard, row) not in {(2, 1), (2, 5), (2, 9)}]
    assert [each.predicted_share for each in result.classes] == pytest.approx(np.mean(rows, axis=0).tolist(), rel=1e-4)


def test_a_label_file_that_lists_a_class_that_is_none_is_named(tmp_path: Path) -> None:
    pool = SoftPool(tmp_path, [np.array([peaked(0.9, 0, 3)])], listed=2)
    path = tmp_path / "labels" / "part-00000.parquet"
    table = pq.read_table(path)
    lists = pa.FixedSizeListArray.from_arrays(pa.array([0, 3], pa.int32()), 2)
    pq.write_table(table.set_column(table.schema.get_field_index("top_classes"), "top_classes", lists), path)
    with pytest.raises(StageError, match=r"part-00000\.parquet lists class 3 of 3 classes") as caught:
        pool.select(UNIFORM)
    assert caught.value.reason is FailureReason.BAD_DATA


def test_of_each_class_the_most_confident_aligned_images_are_kept(tmp_path: Path) -> None:
    pool = skewed(tmp_path)
    rows, _ = aligned(pool, np.full(4, 0.25))
    pool.select(UNIFORM.model_copy(update={"max_per_class": 9}))
    best = [sorted((p for p in rows if rows[p].argmax() == label), key=lambda p: -rows[p].max()) for label in range(4)]
    assert pool.selected() == {place for places in best for place in places[:9]}


def test_hard_targets_are_the_labels_that_were_balanced_and_soft_ones_are_sharpened_after_alignment(
    tmp_path: Path,
) -> None:
    pool = skewed(tmp_path, classes=130, listed=3)
    rows, _ = aligned(pool, np.full(130, 1 / 130))
    kept = [each.kept for each in pool.select(UNIFORM).classes]
    hard = PseudoLabeledSource(pool.pseudo_labels(), 130, Recipe(targets="hard"))
    answers = [hard.sample(shard, row)[1] for shard, row in _samples(hard)]
    assert np.sum(answers, axis=0).tolist() == kept
    sharp = PseudoLabeledSource(pool.pseudo_labels(), 130, Recipe(temperature=0.5))
    squared = rows[0, 0] ** 2 / (rows[0, 0] ** 2).sum()
    assert sharp.sample(0, 0)[1].tolist() == pytest.approx(squared.tolist(), abs=1e-4)


def test_without_alignment_a_student_answers_what_the_teacher_said(tmp_path: Path) -> None:
    pool = skewed(tmp_path)
    pool.select(UNIFORM.model_copy(update={"distribution_alignment": "none"}))
    assert [name for name in pool.files() if not name.startswith("part-")] == ["review/uncertain.parquet"]
    target = PseudoLabeledSource(pool.pseudo_labels(), 4, Recipe()).sample(0, 5)[1]
    assert target.tolist() == pytest.approx(pool.shards[0][5].tolist(), abs=1e-3)


class Killed(Exception):
    """Raised in place of a SIGKILL."""


@pytest.mark.parametrize("after", [0, 2])
def test_a_selection_that_was_interrupted_comes_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    settings = UNIFORM.model_copy(update={"thresholds": "freematch"})
    pool = skewed(tmp_path)
    undisturbed = pool.select(settings, "undisturbed")
    written: list[str] = []

    def killed_at_last(uri: str, data: bytes) -> None:
        if len(written) == after:
            raise Killed
        written.append(uri)
        write_bytes(uri, data)

    with monkeypatch.context() as patch:
        patch.setattr(survey, "write_bytes", killed_at_last)
        with pytest.raises(Killed):
            pool.select(settings, "killed")
    assert len(list((tmp_path / "killed").rglob("aligned/*.parquet"))) == after
    resumed = pool.select(settings, "killed")
    assert resumed.classes == undisturbed.classes
    assert pool.files("killed") == pool.files("undisturbed")
    assert not (tmp_path / "killed" / "aligned").exists(), "only the passes of the selection need it"


def test_processes_align_as_one_thread_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = skewed(tmp_path, classes=130, listed=5)
    alone = pool.select(UNIFORM, "alone")
    monkeypatch.setattr(shard_ranges, "ROWS_WORTH_A_PROCESS", 1)
    together = pool.select(UNIFORM, "together")
    assert together.classes == alone.classes
    assert pool.files("together") == pool.files("alone")


def test_a_damaged_alignment_is_named(tmp_path: Path) -> None:
    pool = skewed(tmp_path)
    pool.select(UNIFORM)
    with pytest.raises(ShardReadError, match=r"alignment\.json.*aligns 4 classes, not 3"):
        PseudoLabeledSource(pool.pseudo_labels(), 3, Recipe())
    (tmp_path / "select" / "alignment.json").write_text('{"ratios": [0, 1]}')
    with pytest.raises(ShardReadError, match=r"alignment\.json.*not an alignment"):
        read_alignment(str(tmp_path / "select"), 2)


def test_aligning_needs_neither_ray_nor_torch_nor_pandas(tmp_path: Path) -> None:
    SoftPool(tmp_path, [np.array([peaked(0.9, 0, 3), peaked(0.4, 1, 3)])], listed=3, broken=frozenset({(0, 1)}))
    code = f"""
import sys
import numpy as np
from workers.selection import survey
from workers.selection.selector import Rules
from workers.specs.reports import FailureReason
from workers.specs.selection import SelectionSettings
labels, select = {str(tmp_path / "labels")!r}, {str(tmp_path / "select")!r}
rules = Rules(SelectionSettings(), 3, 0, labels, frozenset(), frozenset(), aligned_uri=select)
survey._align(np.ones(3, np.float32), rules, range(1))
print([name for name in ("ray", "torch", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def _samples(source: PseudoLabeledSource) -> list[tuple[int, int]]:
    return [(shard, row) for shard, rows in enumerate(source.rows_per_shard) for row in range(rows)]
