"""Makes the ablation's table: each variant's error, and how it differs from that of the full student. Pure."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from workers.ablation.variants import Student
from workers.specs.ablation import AblationLine, AblationTraining, Variant


def ablation_lines(
    students: Mapping[Variant, Student], same: Mapping[Variant, Variant], trainings: Sequence[AblationTraining]
) -> tuple[AblationLine, ...]:
    """One line for each variant with a finished training. Changes are differences between trainings of equal seeds."""
    errors: dict[Variant, dict[int, float]] = {}
    for training in trainings:
        if training.state == "finished" and training.top1 is not None:
            errors.setdefault(training.variant, {})[training.seed] = 1 - training.top1
    lines: list[AblationLine] = []
    full = errors.get("full", {})
    for variant, student in students.items():
        mine = errors.get(same[variant], {})
        changes = [mine[seed] - full[seed] for seed in sorted(mine) if seed in full]
        if not changes:
            continue
        lines.append(
            AblationLine(
                variant=variant,
                model=student.model,
                same_as=None if same[variant] == variant else same[variant],
                seeds=len(changes),
                error=mean(mine.values()),
                error_deviation=stdev(mine.values()) if len(mine) > 1 else None,
                error_change=mean(changes),
                error_change_deviation=stdev(changes) if len(changes) > 1 else None,
            )
        )
    return tuple(lines)
