"""How much better a student is than the first teacher."""

from service.views.runs import GenerationView, RunView


def error_reduction(run: RunView, generation: GenerationView) -> float | None:
    """The share of the first teacher's test errors that this student does not make; None where it cannot be said."""
    teacher, student = run.generation_details[0].model, generation.model
    if generation.number == 0 or teacher is None or student is None:
        return None
    if teacher.test_top1 is None or student.test_top1 is None or teacher.test_top1 >= 1:
        return None
    return (student.test_top1 - teacher.test_top1) / (1 - teacher.test_top1)
