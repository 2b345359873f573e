"""Which trainings of a run are to be measured: those that differ. Pure."""

from collections.abc import Sequence

from service.run_config import GenerationPlan
from workers.specs.measure import MeasuredStudent


def measured_students(plans: Sequence[GenerationPlan]) -> tuple[tuple[MeasuredStudent, ...], tuple[int, ...]]:
    """The students to measure, and for each generation which of them it trains."""
    wanted = [
        MeasuredStudent(model=plan.model, recipe=plan.recipe, pseudo_labeled=number > 0)
        for number, plan in enumerate(plans)
    ]
    distinct = tuple(dict.fromkeys(wanted))
    return distinct, tuple(distinct.index(student) for student in wanted)
