"""Fits a run into a budget of wall time, by the bill of a plan: fewer generations, then fewer steps. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.views.estimates import StageBill

_SPARE = 0.9
"""The share of a budget that is planned: a plan is off by some percent."""
_GOOD_SHARE = 0.5
"""A generation is given up before the steps of a training fall below this share of the preset's."""
_LEAST_SHARE = 0.1
"""A training of fewer steps than this share of the preset's has learned too little to teach."""


@dataclass(frozen=True)
class Fit:
    """How a run fits: its number of students, and the share of the steps of every training that it takes."""

    generations: int
    share: float
    seconds: float
    """What it will take, by the plan."""


@dataclass(frozen=True)
class DoesNotFit:
    """No run fits that could gain anything."""

    least_seconds: float
    """The smallest budget into which one does."""


def fit(stages: Sequence[StageBill], generations: int, budget_seconds: float) -> Fit | DoesNotFit:
    """Chooses as many generations as the budget has time for, then as many steps. `stages` is the bill of all.

    Only the steps of trainings scale: labeling, evaluation and the start of processes take what they take.
    """
    have = budget_seconds * _SPARE
    costs = {number: _cost(stages, number) for number in range(generations, -1, -1)}
    least = min(generations, 1)
    for least_share in (_GOOD_SHARE, _LEAST_SHARE):
        for number in range(generations, least - 1, -1):
            fixed, work = costs[number]
            share = 1.0 if work == 0 else min(1.0, (have - fixed) / work)
            if share >= least_share and have >= fixed:
                return Fit(number, share, fixed + share * work)
    fixed, work = costs[least]
    return DoesNotFit((fixed + _LEAST_SHARE * work) / _SPARE)


def _cost(stages: Sequence[StageBill], generations: int) -> tuple[float, float]:
    """The seconds that no number of steps changes, and the seconds of steps, of the first generations."""
    there = [stage for stage in stages if stage.generation <= generations]
    work = sum(stage.work_seconds for stage in there if stage.stage == "train")
    return sum(stage.wall_seconds for stage in there) - work, work
