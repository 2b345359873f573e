"""The figures of a result have names that say on which images they were measured, and under what."""

from pathlib import Path

import pytest

from tests.support.played_stages import METRICS, RUN, TIMING, evaluate_spec
from workers.specs.results import EvaluateResult, ValidationMetrics
from workers.specs.robustness import (
    AdversarialResult,
    AttackResult,
    CorruptionResult,
    RobustnessResult,
    StabilityResult,
)
from workers.tracking.endings import ending_of_stage

ROBUSTNESS = RobustnessResult(
    reference=f"{RUN}-g0",
    corruptions=CorruptionResult(
        images=10, severities=(1,), clean_error=0.1, errors={"contrast": (0.25,)}, mean_corruption_error=80.0
    ),
    stability=StabilityResult(sequences=2, frames=3, flip_rates={"rotate": 0.5}, mean_flip_rate=90.0),
    adversarial=AdversarialResult(
        images=10, clean_top1=0.9, attacks=(AttackResult(attack="pgd", epsilon=4.0, top1=0.25),)
    ),
)


def test_an_evaluation_says_its_robustness_and_each_set_by_name(tmp_path: Path) -> None:
    result = EvaluateResult(
        attempt=1,
        timing=TIMING,
        metrics=METRICS,
        bad_images=0,
        robustness=ROBUSTNESS,
        pseudo_labels=METRICS.model_copy(update={"top1": 0.5}),
        validation=ValidationMetrics(metrics=METRICS, robustness=ROBUSTNESS),
    )

    values = ending_of_stage(evaluate_spec(str(tmp_path)), result).values

    assert (values["top1"], values["pseudo_labels/top1"], values["validation/top5"]) == (0.75, 0.5, 1.0)
    assert (values["mean_corruption_error"], values["mean_flip_rate"]) == (80.0, 90.0)
    assert values["pgd/top1_at_4"] == values["validation/pgd/top1_at_4"] == 0.25


@pytest.mark.parametrize("part", ["corruptions", "stability", "adversarial"])
def test_a_measurement_that_was_left_out_has_no_figure(part: str, tmp_path: Path) -> None:
    robustness = ROBUSTNESS.model_copy(update={part: None})
    result = EvaluateResult(attempt=1, timing=TIMING, metrics=METRICS, bad_images=0, robustness=robustness)
    values = ending_of_stage(evaluate_spec(str(tmp_path)), result).values
    assert len({"mean_corruption_error", "mean_flip_rate", "pgd/top1_at_4"} & values.keys()) == 2
