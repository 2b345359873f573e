"""Events tell what a stage compared, dropped or could not fill up."""

from typing import Any

from service.config.events import EventKind
from service.stages.findings import findings
from workers.specs.hygiene import ComparedSet, LeakageCheck
from workers.specs.results import ClassSelection, LabelResult, SelectResult, StageTiming

COMMON: dict[str, Any] = {
    "attempt": 1,
    "timing": StageTiming(entered_at=0, work_started_at=0, work_ended_at=0),
}


def label_result(check: LeakageCheck | None, **changes: Any) -> LabelResult:
    plain = {
        "images": 1000,
        "labeled": 1000,
        "bad_images": 0,
        "shards": 1,
        "shards_resumed": 0,
        "mean_confidence": 0.5,
        "images_per_second": 1.0,
    }
    return LabelResult(**COMMON, **{**plain, **changes}, leakage=check)


def check(distance: int, missing: int = 0, without_look: int = 0) -> LeakageCheck:
    compared = ComparedSet(dataset_id="ds-1", images=250_000, missing=missing, without_look=without_look)
    return LeakageCheck(sets=(compared,), near_duplicate_distance=distance, look_alike_share=0.0, photographs=True)


def test_a_label_stage_tells_what_it_compared_with_evaluation_images() -> None:
    [(kind, message)] = findings(label_result(check(4), held_out=3, near_duplicates=2))
    assert kind is EventKind.IMAGES_COMPARED
    assert message == (
        "compared 1,000 unlabeled images with 250,000 evaluation images; 3 are one of them and are left out; "
        "2 look like one of them"
    )
    assert list(findings(label_result(None))) == []


def test_what_could_not_be_compared_is_told() -> None:
    [(_, message)] = findings(label_result(check(4, missing=7, without_look=5), without_look=11))
    assert "7 evaluation images could not be read and were not compared" in message
    assert "11 unlabeled and 5 evaluation images are flat or broken: compared byte for byte only" in message
    [(_, message)] = findings(label_result(check(0)))
    assert message.endswith("no near duplicates were looked for")


def test_classes_that_a_limit_of_copies_keeps_small_are_an_event() -> None:
    classes = (
        ClassSelection(name="cat", labeled=500, confident=500, kept=500, copies=500),
        ClassSelection(name="okapi", labeled=1, confident=1, kept=1, copies=10),
        ClassSelection(name="none", labeled=0, confident=0, kept=0, copies=0),
    )
    result = SelectResult(
        **COMMON,
        images_labeled=501,
        dropped_bad=0,
        dropped_held_out=2,
        dropped_near_duplicates=4,
        dropped_low_confidence=0,
        dropped_over_cap=0,
        kept=501,
        copies=510,
        classes_not_filled_up=1,
        copies_lacking=490,
        near_duplicates="drop",
        classes=classes,
    )
    (first, limit), (second, dropped) = findings(result)
    assert (first, second) == (EventKind.CLASSES_NOT_FILLED_UP, EventKind.IMAGES_COMPARED)
    assert limit == (
        "max_copies_per_image holds 1 of 3 classes below the size of the others: they lack 490 images; 'okapi' has the "
        "fewest, 10 copies of 1"
    )
    assert dropped == "dropped 2 evaluation images and 4 images that look like one"
