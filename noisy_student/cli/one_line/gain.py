"""Says in words what a run has gained: the accuracies of its teacher and its students on the test images. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

from noisy_student.comparison import interval
from service.views.runs import GenerationView, RunView


@dataclass(frozen=True)
class Measured:
    """A generation's accuracy on the test images, as a share in 0..1."""

    generation: int
    top1: float
    images: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return interval(self.top1, self.images)

    def __str__(self) -> str:
        low, high = self.interval
        who = "teacher" if self.generation == 0 else f"student {self.generation}"
        return f"{who} {100 * self.top1:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def gain_in_words(run: RunView) -> list[str]:
    """One line for each model that was evaluated, and one that compares the last student with the teacher."""
    found = list(_measured(run))
    if not found:
        return []
    lines = [f"on {found[0].images:,} test images:", *(f"  {each}" for each in found)]
    teacher, student = found[0], found[-1]
    if teacher.generation or not student.generation:
        return lines
    points = 100 * (student.top1 - teacher.top1)
    wrong = [round((1 - each.top1) * each.images) for each in (teacher, student)]
    if points:
        than = "better" if points > 0 else "worse"
        lines.append(
            f"The last student is {abs(points):.1f} points {than} than its teacher: {wrong[1]:,} errors, not "
            f"{wrong[0]:,}."
        )
    else:
        lines.append("The last student is as good as its teacher.")
    if student.interval[0] <= teacher.interval[1] and teacher.interval[0] <= student.interval[1]:
        lines.append("The intervals overlap: with so few test images, the difference may be chance.")
    return lines


def _measured(run: RunView) -> Iterator[Measured]:
    for generation in run.generation_details:
        images = _test_images(generation)
        if generation.model is not None and generation.model.test_top1 is not None and images:
            yield Measured(generation.number, generation.model.test_top1, images)


def _test_images(generation: GenerationView) -> int:
    results = [stage.result for stage in generation.stages if stage.name == "evaluate" and stage.result]
    return int(results[-1]["metrics"]["images"]) if results else 0
