"""Which students may teach, according to the gate."""

import pytest

from service.config.gate import Condition, gate_failure
from workers.specs.results import Confusion, EvaluateResult, Metrics, StageTiming, ValidationMetrics
from workers.specs.robustness import CorruptionResult, RobustnessResult


def evaluation(top1: float, mce: float | None = None) -> EvaluateResult:
    corruptions = None
    if mce is not None:
        corruptions = CorruptionResult(
            images=10, severities=(1,), clean_error=0.1, errors={"fog": (0.2,)}, mean_corruption_error=mce
        )
    return EvaluateResult(
        attempt=1,
        timing=StageTiming(entered_at=0, work_started_at=0, work_ended_at=0),
        metrics=Metrics(
            images=10,
            top1=top1,
            top5=1.0,
            per_class={},
            expected_calibration_error=0.03,
            confusion=Confusion(classes=1, counts=((0, 0, 10),)),
        ),
        bad_images=0,
        robustness=RobustnessResult(reference="m", corruptions=corruptions, stability=None, adversarial=None),
    )


@pytest.mark.parametrize(
    ("condition", "student", "teacher", "holds"),
    [
        ("top1 >= previous", 0.9, 0.9, True),
        ("top1 > previous", 0.9, 0.9, False),
        ("top1 >= previous - 0.01", 0.895, 0.9, True),
        ("top1>=previous+0.01", 0.905, 0.9, False),
        ("top1 >= 0.95", 0.949, 0.1, False),
        ("calibration_error <= 0.05", 0.5, 0.5, True),
    ],
)
def test_a_condition_compares_with_a_number_or_with_the_teacher(
    condition: str, student: float, teacher: float, holds: bool
) -> None:
    failure = gate_failure([condition], "test", evaluation(student), evaluation(teacher))
    assert (failure is None) is holds


def test_the_reason_has_the_figures_of_every_condition_that_fails() -> None:
    conditions = ["top1 >= previous", "mce <= previous + 1.0", "top5 > 0.5"]
    failure = gate_failure(conditions, "test", evaluation(0.8, mce=104.5), evaluation(0.9, mce=103))
    assert failure == (
        "top1 >= previous: top1 is 0.8, the teacher's 0.9; mce <= previous + 1.0: mce is 104.5, the teacher's 103"
    )


def test_the_test_images_decide_nothing_unless_they_are_asked_for() -> None:
    """The student is better on the test images, and worse on the validation images."""

    def judged(on_test: float, on_validation: float) -> EvaluateResult:
        validation = ValidationMetrics(metrics=evaluation(on_validation).metrics)
        return evaluation(on_test).model_copy(update={"validation": validation})

    student, teacher = judged(0.9, 0.7), judged(0.8, 0.75)
    assert gate_failure(["top1 >= previous"], "test", student, teacher) is None
    failure = gate_failure(["top1 >= previous"], "validation", student, teacher)
    assert failure == "top1 >= previous: top1 is 0.7, the teacher's 0.75"
    assert gate_failure(["top1 >= 0.1"], "validation", evaluation(0.9), None) == "top1 >= 0.1: top1 was not measured"


def test_what_was_not_measured_fails_the_student_and_not_the_teacher() -> None:
    assert gate_failure(["mce <= previous"], "test", evaluation(0.8), evaluation(0.8, mce=90)) is not None
    assert gate_failure(["mce <= previous"], "test", evaluation(0.8, mce=90), evaluation(0.8)) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("top1 better than previous", "is no condition: write it as"),
        ("top1 >= previous * 2", "is no condition"),
        ("top1 == 1", "is no condition"),
        ("accuracy >= previous", "there is no metric 'accuracy'; there are top1, top5"),
        ("", "is no condition"),
    ],
)
def test_other_text_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Condition(text)
