"""Which stages a generation has, in which order."""

from workers.specs.stages import StageName

TEACHER_STAGES: tuple[StageName, ...] = ("train", "evaluate")
STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "train", "evaluate")


def stages_of(generation: int) -> tuple[StageName, ...]:
    """Generation 0 trains the first teacher on labeled images alone; every later one labels and selects first."""
    return TEACHER_STAGES if generation == 0 else STUDENT_STAGES
