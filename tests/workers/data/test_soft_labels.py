"""Soft labels that list some classes, compared with the same arithmetic on whole rows in double precision."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.data.soft_labels import SoftLabels


def whole(classes: list[int], probabilities: list[float], ratios: list[float]) -> np.ndarray:
    """The distribution of one row over all classes."""
    kept = {index: float(np.float16(p)) for index, p in zip(classes, probabilities, strict=True) if index >= 0}
    others = len(ratios) - len(kept)
    left = max(0.0, 1 - sum(kept.values())) / others if others else 0.0
    row = np.array([kept.get(index, left) * ratio for index, ratio in enumerate(ratios)])
    return np.asarray(row / row.sum())


def soft_labels(classes: list[int], probabilities: list[float], ratios: list[float]) -> SoftLabels:
    return SoftLabels.of(
        np.array([classes], np.int32), np.array([probabilities], np.float16), np.array(ratios, np.float32)
    )


@given(st.data())
def test_a_row_is_what_the_formula_makes_of_it(data: st.DataObject) -> None:
    number = data.draw(st.integers(2, 9))
    width = data.draw(st.integers(1, number))
    listed = data.draw(st.integers(1, width))
    classes = data.draw(st.permutations(range(number)))[:listed]
    weights = np.sort(data.draw(st.lists(st.floats(0.01, 1), min_size=number, max_size=number)))[::-1]
    probabilities = (weights / weights.sum())[:listed]
    ratios = data.draw(st.lists(st.sampled_from([1e-4, 0.5, 1.0, 1.25, 40.0]), min_size=number, max_size=number))
    padding = width - listed
    row = ([*classes, *[-1] * padding], [*probabilities.tolist(), *[0.0] * padding])
    found, expected = soft_labels(*row, ratios), whole(*row, ratios)

    np.testing.assert_allclose(found.distribution(0), expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.sums(), expected, rtol=1e-3, atol=1e-6)
    labels, doubts = found.labels_and_doubts()
    assert expected[labels[0]] == pytest.approx(expected.max(), rel=1e-3)
    assert doubts[0] == pytest.approx(1 - expected[labels[0]], abs=1e-5)
    assert found.labels().tolist() == labels.tolist()


def test_a_class_that_is_not_listed_is_the_label_if_its_ratio_is_large_enough() -> None:
    """The rest of the row, 0.2, is 0.1 for each of the last two classes."""
    for ratio, label in ((3.9, 0), (4.1, 4)):
        labels, doubts = soft_labels([0, 1, 2], [0.4, 0.3, 0.1], [1, 1, 1, 1, ratio]).labels_and_doubts()
        assert labels.tolist() == [label]
        best = 0.4 if label == 0 else 0.1 * ratio
        assert doubts[0] == pytest.approx(1 - best / (0.9 + 0.1 * ratio), abs=1e-3)


def test_without_alignment_the_label_is_the_teachers_however_probabilities_are_rounded() -> None:
    """In half precision the rest of this flat row looks more probable than the one class that it lists."""
    flat = 1 / 900
    assert float(np.float16(flat)) < (1 - float(np.float16(flat))) / 899
    assert soft_labels([7], [flat], [1.0] * 900).labels().tolist() == [7]
    assert soft_labels([3, 2], [0.5, 0.49999], [1.0] * 4).labels().tolist() == [3], "of two equals the first"


def test_a_doubt_far_below_the_precision_of_a_confidence_is_kept() -> None:
    """Half precision rounds the confidence to 1; the other classes tell how sure the teacher is."""
    labels, doubts = soft_labels([0, 1, 2], [1.0, 3e-6, 1e-6], [1.0, 1.0, 1.0]).labels_and_doubts()
    assert (labels.tolist(), doubts[0]) == ([0], pytest.approx(4e-6, rel=0.1))
