"""What is omitted from results where many are shown."""

import pytest

from service.stages.result_summary import confusion_matrices, read_confusion, summary, without_confusion

METRICS = {"top1": 0.5, "per_class": {"a": 1.0, "b": None}, "confusion": [[1, 0], [0, 0]]}
RESULT = {
    "stage": "evaluate",
    "metrics": METRICS,
    "pseudo_labels": None,
    "external": {"classes": METRICS, "confusion": METRICS},
    "timing": {"entered_at": 1.0},
}


def test_a_summary_has_nothing_of_single_classes() -> None:
    few = {"top1": 0.5}
    assert summary(RESULT) == {**RESULT, "metrics": few, "external": {"classes": few, "confusion": few}}
    assert summary({"stage": "select", "kept": 3, "classes": [{"name": "a"}]}) == {"stage": "select", "kept": 3}


def test_one_stage_has_its_classes_and_no_pairs_of_them() -> None:
    some = {"top1": 0.5, "per_class": {"a": 1.0, "b": None}}
    assert without_confusion(RESULT)["metrics"] == some
    assert without_confusion(RESULT)["external"]["confusion"] == some
    assert without_confusion({"classes": [1]}) == {"classes": [1]}


def test_matrices_are_found_by_what_was_judged() -> None:
    assert dict(confusion_matrices(RESULT)).keys() == {"test", "external.classes", "external.confusion"}
    assert dict(confusion_matrices({**RESULT, "pseudo_labels": METRICS})).keys() >= {"pseudo_labels"}
    assert list(confusion_matrices({"stage": "train"})) == []


@pytest.mark.parametrize("stored", [[[1, 0], [2, 3]], {"classes": 2, "counts": [[0, 0, 1], [1, 0, 2], [1, 1, 3]]}])
def test_confusion_is_read_in_the_sparse_form_and_in_that_of_earlier_versions(stored: object) -> None:
    assert read_confusion({"confusion": stored}).matrix() == [[1, 0], [2, 3]]
