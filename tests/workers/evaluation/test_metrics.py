"""Metrics compared with slow reference implementations."""

import json
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.evaluation.metrics import Judged, MetricSums, judge
from workers.specs.results import Metrics


def reference(probabilities: np.ndarray, truth: list[int], classes: int) -> dict[str, object]:
    """The metrics, computed image by image in plain Python."""
    confusion = [[0] * classes for _ in range(classes)]
    top5 = 0
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, true in zip(probabilities.tolist(), truth, strict=True):
        ranking = sorted(range(classes), key=lambda c: (-row[c], c))
        confusion[true][ranking[0]] += 1
        top5 += true in ranking[:5]
        confidence = row[ranking[0]]
        number = next(b for b in range(15) if confidence <= (b + 1) / 15 or b == 14)
        bins.setdefault(number, []).append((confidence, ranking[0] == true))
    total = len(truth)
    ece = sum(
        len(members) / total * abs(np.mean([right for _, right in members]) - np.mean([c for c, _ in members]))
        for members in bins.values()
    )
    return {
        "top1": sum(confusion[c][c] for c in range(classes)) / total,
        "top5": top5 / total,
        "ece": ece,
        "confusion": confusion,
        "per_class": [confusion[c][c] / sum(confusion[c]) if sum(confusion[c]) else None for c in range(classes)],
    }


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 2**31), st.booleans(), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_metrics_are_what_the_slow_reference_says_however_the_images_are_split(
    classes: int, images: int, seed: int, ties: bool, parts: int
) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), size=images).astype(np.float32)
    if ties:
        probabilities = np.round(probabilities * 4) / np.float32(4)
    truth = rng.integers(0, classes, images).astype(np.int32)
    sums = MetricSums(classes)
    for part in np.array_split(np.arange(images), parts):
        sums.add(Judged.from_bytes(judge(probabilities[part], truth[part]).to_bytes()))
    names = [f"c{index}" for index in range(classes)]
    metrics = sums.metrics(names)

    expected = reference(probabilities, truth.tolist(), classes)
    assert metrics.images == images
    assert metrics.top1 == pytest.approx(expected["top1"])
    assert metrics.top5 == pytest.approx(expected["top5"])
    assert metrics.expected_calibration_error == pytest.approx(expected["ece"], abs=1e-6)
    assert metrics.confusion.matrix() == expected["confusion"]
    assert [metrics.per_class[name] for name in names] == pytest.approx(expected["per_class"])


def test_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_one() -> None:
    sums = MetricSums(2)
    # 3/15 is the upper edge of the third bin, the other lies in the fourth: two bins, each wrong by its confidence.
    # In double precision, so that the value lies exactly on the edge.
    confidence = cast("npt.NDArray[np.float32]", np.array([0.2, 0.21], dtype=np.float64))
    sums.add(Judged(np.zeros(2, np.int32), np.array([1, 0], np.int32), confidence, np.ones(2, bool)))
    assert sums.metrics(["a", "b"]).expected_calibration_error == pytest.approx((0.2 + (1 - 0.21)) / 2)


def test_nothing_judged_has_no_metrics() -> None:
    with pytest.raises(ValueError, match="no images"):
        MetricSums(2).metrics(["a", "b"])


def test_a_confusion_of_a_thousand_classes_is_stored_by_its_pairs() -> None:
    sums, truth = MetricSums(1000), np.arange(1000, dtype=np.int32)
    sums.add(judge(np.eye(1000, dtype=np.float32), truth))
    metrics = sums.metrics([str(number) for number in range(1000)])
    text = metrics.model_dump_json()
    assert len(text) < 50_000  # the whole matrix has two million characters
    assert Metrics.model_validate_json(text) == metrics


def test_results_of_earlier_versions_with_a_whole_matrix_are_read() -> None:
    sums = MetricSums(3)
    sums.add(judge(np.eye(3, dtype=np.float32), np.array([0, 2, 2], dtype=np.int32)))
    metrics = sums.metrics(["a", "b", "c"])
    earlier = json.loads(metrics.model_dump_json()) | {"confusion": metrics.confusion.matrix()}
    assert Metrics.model_validate_json(json.dumps(earlier)) == metrics
