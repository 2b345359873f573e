"""Thresholds that differ by class: which images pass, and the numbers against formulas written out here."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tests.support.made_soft_labels import SoftPool, peaked
from workers.selection import shard_ranges
from workers.selection.thresholds import flexmatch_thresholds, freematch_thresholds
from workers.specs.selection import SelectionSettings

COMMON, RARE = 0, 1
FLEXMATCH = SelectionSettings(thresholds="flexmatch", min_confidence=0.95, fill_up=False)
FREEMATCH = SelectionSettings(thresholds="freematch", min_confidence=0.0, fill_up=False)


def imbalanced(root: Path) -> SoftPool:
    """A teacher that is sure of a common class and less so of a rare one; of the third it is never sure."""
    common = [peaked(0.97, COMMON, 3)] * 100 + [peaked(0.6, COMMON, 3)] * 20
    rare = [peaked(0.96, RARE, 3)] * 10 + [peaked(0.75, RARE, 3)] * 15
    others = [peaked(0.5, 2, 3)] * 5 + [peaked(0.99, 2, 3)] * 3
    # The last three are the images of the third class of which the teacher is sure, and none of them counts.
    return SoftPool(
        root,
        [np.array(common), np.array(rare), np.array(others)],
        listed=3,
        broken=frozenset({(2, 5)}),
        excluded=frozenset({(2, 6), (2, 7)}),
    )


def test_a_rare_class_passes_flexmatchs_threshold_and_not_the_fixed_one(tmp_path: Path) -> None:
    pool = imbalanced(tmp_path)
    fixed = pool.select(SelectionSettings(min_confidence=0.95, fill_up=False), "fixed")
    assert [each.kept for each in fixed.classes] == [100, 10, 0]
    assert [each.threshold for each in fixed.classes] == [None] * 3

    result = pool.select(FLEXMATCH)
    assert [each.kept for each in result.classes] == [100, 25, 5], "the common class keeps its threshold"
    learned = 10 / 100
    assert [each.threshold for each in result.classes] == pytest.approx([0.95, 0.95 * learned / (2 - learned), 0])
    assert (result.lowest_threshold, result.highest_threshold) == (0, 0.95)
    assert pool.selected() - pool.selected("fixed") == {(1, row) for row in range(10, 25)} | {
        (2, row) for row in range(5)
    }


def test_flexmatchs_thresholds_stay_low_while_most_rows_are_not_confident() -> None:
    """Of 1,000 rows 950 are not confident: the best class counts as learned to 40/950, not wholly."""
    found = flexmatch_thresholds(np.array([40, 10, 0]), 1000, 0.8)
    assert found.tolist() == pytest.approx([0.8 * (40 / 950) / (2 - 40 / 950), 0.8 * (10 / 950) / (2 - 10 / 950), 0])
    assert flexmatch_thresholds(np.array([0, 0]), 0, 0.8).tolist() == [0, 0], "a pool without rows"


def test_freematchs_thresholds_follow_from_the_mean_confidence_and_the_mean_prediction(tmp_path: Path) -> None:
    pool = imbalanced(tmp_path)
    result = pool.select(FREEMATCH)
    rows = np.array([pool.as_stored()[shard][row] for shard, row in pool.usable()])
    mean, shares = rows.max(axis=1).mean(), rows.mean(axis=0)
    expected = mean * shares / shares.max()
    assert [each.threshold for each in result.classes] == pytest.approx(expected.tolist(), rel=1e-3)
    assert [each.predicted_share for each in result.classes] == pytest.approx(shares.tolist(), rel=1e-3)
    assert [each.kept for each in result.classes] == [100, 25, 5]
    assert 0.6 < expected[COMMON] < 0.97, "it is above the common class's unsure images"


def test_min_confidence_is_the_lowest_of_freematchs_thresholds(tmp_path: Path) -> None:
    result = imbalanced(tmp_path).select(FREEMATCH.model_copy(update={"min_confidence": 0.7}))
    assert [each.threshold for each in result.classes][1:] == [0.7, 0.7]
    assert [each.kept for each in result.classes] == [100, 25, 0]
    assert freematch_thresholds(0.0, np.zeros(2), 0.0).tolist() == [0, 0], "a pool without rows"


@pytest.mark.parametrize("settings", [FLEXMATCH, FREEMATCH])
def test_thresholds_do_not_depend_on_how_many_processes_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: SelectionSettings
) -> None:
    rng = np.random.default_rng(3)
    pool = SoftPool(tmp_path, [rng.dirichlet([0.6, 0.3, 0.1], size=157) for _ in range(7)], listed=3)
    alone = pool.select(settings, "alone")
    monkeypatch.setattr(shard_ranges, "ROWS_WORTH_A_PROCESS", 1)
    together = pool.select(settings, "together")
    assert together.classes == alone.classes
    assert pool.files("together") == pool.files("alone")


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"thresholds": "flexmatch", "share_per_class": 0.5}, "share_per_class"),
        ({"thresholds": "freematch", "share_per_class": 0.5}, "share_per_class"),
        ({"thresholds": "flexmatch", "min_confidence": 0}, "min_confidence"),
        ({"thresholds": "freematch", "min_confidence": 1}, "min_confidence"),
    ],
)
def test_thresholds_that_make_no_sense_together_are_refused(settings: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SelectionSettings.model_validate(settings)
    assert [error["ctx"]["field"] for error in caught.value.errors()] == [field]
