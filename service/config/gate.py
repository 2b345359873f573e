"""The gate: conditions that a student must meet to become the next teacher. No I/O."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field

from workers.specs.base import Frozen
from workers.specs.hygiene import JudgedOn
from workers.specs.results import EvaluateResult, Metrics
from workers.specs.robustness import RobustnessResult, RobustnessSettings

GateMetric = Literal["top1", "top5", "calibration_error", "mce", "mfr"]
GATE_METRICS: tuple[GateMetric, ...] = get_args(GateMetric)
ROBUSTNESS_OF: Mapping[str, str] = {"mce": "corruptions", "mfr": "stability"}
"""The part of the robustness settings that each of these metrics requires."""
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_NUMBER = r"\d+(?:\.\d+)?"
_CONDITION = re.compile(
    rf"(?P<metric>[a-z0-9_]+)\s*(?P<comparison>>=|<=|>|<)\s*"
    rf"(?:(?P<number>{_NUMBER})|previous(?:\s*(?P<sign>[+-])\s*(?P<margin>{_NUMBER}))?)"
)
_SYNTAX = "as top1 >= previous, mce <= previous + 1.0 or top1 > 0.9"


class Gate(Frozen):
    """Conditions that a student must meet to become the next teacher."""

    conditions: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        min_length=1,
        max_length=20,
        description="For example `top1 >= previous` or `mce <= previous + 1.0`; previous is the teacher's own figure. "
        "top1, top5 and calibration_error are shares in 0..1, mce and mfr are percent.",
    )
    on: JudgedOn = Field(
        default="validation",
        description="The images on which the conditions are measured. `test` chooses teachers by the test images, "
        "which makes the reported test accuracy optimistic; generations, models and lineage are marked with it.",
    )
    on_failure: Literal["stop", "go_on"] = Field(
        default="stop", description="go_on: the same teacher teaches the following generations."
    )


class Condition:
    """One condition. It compares a metric of the student with a number, or with its teacher's metric plus a margin.

    top1, top5 and calibration_error are shares in 0..1; mce and mfr are percent. Raises ValueError if the text is not a
    condition.
    """

    def __init__(self, text: str) -> None:
        found = _CONDITION.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is no condition: write it {_SYNTAX}")
        if found["metric"] not in GATE_METRICS:
            raise ValueError(f"there is no metric {found['metric']!r}; there are {', '.join(GATE_METRICS)}")
        self.text = text.strip()
        self.metric = found["metric"]
        self._holds = _COMPARISONS[found["comparison"]]
        self._number = None if found["number"] is None else float(found["number"])
        self._margin = float(f"{found['sign']}{found['margin']}") if found["margin"] else 0.0

    def failure(self, student: Mapping[str, float], teacher: Mapping[str, float]) -> str | None:
        """Returns why the condition fails, for people, or None if it holds.

        It also holds if it refers to the teacher's metric and that was not measured.
        """
        mine, theirs = student.get(self.metric), teacher.get(self.metric)
        if mine is None:
            return f"{self.text}: {self.metric} was not measured"
        if self._number is None and theirs is None:
            return None  # the student is the first model with this metric
        limit = self._number if self._number is not None else (theirs or 0.0) + self._margin
        if self._holds(mine, limit):
            return None
        against = "" if self._number is not None else f", the teacher's {theirs:.4g}"
        return f"{self.text}: {self.metric} is {mine:.4g}{against}"


def gated_robustness(conditions: Sequence[str], settings: RobustnessSettings | None) -> RobustnessSettings | None:
    """Returns the parts of the robustness settings that the conditions are about, or None if they name none."""
    parts = {ROBUSTNESS_OF.get(Condition(text).metric) for text in conditions} - {None}
    if settings is None or not parts:
        return None
    return RobustnessSettings(
        corruptions=settings.corruptions if "corruptions" in parts else None,
        stability=settings.stability if "stability" in parts else None,
        adversarial=None,
    )


def gate_metrics(result: EvaluateResult, on: JudgedOn) -> dict[str, float]:
    """Returns the metrics of an evaluation that conditions can refer to: on validation images or on test images."""
    if on == "test":
        return _metrics(result.metrics, result.robustness)
    return {} if result.validation is None else _metrics(result.validation.metrics, result.validation.robustness)


def _metrics(metrics: Metrics, robustness: RobustnessResult | None) -> dict[str, float]:
    found = {
        "top1": metrics.top1,
        "top5": metrics.top5,
        "calibration_error": metrics.expected_calibration_error,
    }
    if robustness is not None and robustness.corruptions is not None:
        found["mce"] = robustness.corruptions.mean_corruption_error
    if robustness is not None and robustness.stability is not None:
        found["mfr"] = robustness.stability.mean_flip_rate
    return found


def gate_failure(
    conditions: Sequence[str], on: JudgedOn, student: EvaluateResult, teacher: EvaluateResult | None
) -> str | None:
    """Returns why the gate does not promote the student, or None if it does. The first teacher has no `teacher`."""
    mine, theirs = gate_metrics(student, on), {} if teacher is None else gate_metrics(teacher, on)
    failures = [failure for text in conditions if (failure := Condition(text).failure(mine, theirs)) is not None]
    return "; ".join(failures) or None
