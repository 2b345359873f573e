"""Which stages a generation has, in which order."""

from workers.specs.stages import StageName

TEACHER_STAGES: tuple[StageName, ...] = ("train", "evaluate")
STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "train", "evaluate")


SEARCHED_STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "search", "train", "evaluate")


def stages_of(generation: int, searched: bool = False) -> tuple[StageName, ...]:
    """Generation 0 trains the first teacher on labeled images alone; every later one labels and selects first."""
    if generation == 0:
        return TEACHER_STAGES
    return SEARCHED_STUDENT_STAGES if searched else STUDENT_STAGES
