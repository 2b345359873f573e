"""The stages of a generation and their order."""

from typing import get_args

from workers.specs.stages import StageName

TEACHER_STAGES: tuple[StageName, ...] = ("train", "evaluate")
STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "train", "evaluate")


SEARCHED_STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "search", "train", "evaluate")


def stages_of(generation: int, searched: bool = False) -> tuple[StageName, ...]:
    """Returns the stages of a generation in order. `searched` adds the search before a student's training.

    Generation 0 trains the first teacher on labeled images alone; every later one labels and selects first.
    """
    if generation == 0:
        return TEACHER_STAGES
    return SEARCHED_STUDENT_STAGES if searched else STUDENT_STAGES


_STAGE_NAMES: dict[str, StageName] = {name: name for name in get_args(StageName)}


def stage_name(text: str) -> StageName:
    """Returns `text` as a stage name. Raises ValueError if it is not one."""
    try:
        return _STAGE_NAMES[text]
    except KeyError:
        raise ValueError(f"there is no stage {text!r}") from None
