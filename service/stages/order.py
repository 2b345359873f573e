"""The stages of a generation and their order."""

from typing import get_args

from service.config.run import GenerationPlan
from workers.specs.stages import StageName

TEACHER_STAGES: tuple[StageName, ...] = ("train", "evaluate")
STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "train", "evaluate")
SEARCHED_STUDENT_STAGES: tuple[StageName, ...] = ("label", "select", "search", "train", "evaluate")
GIVEN_TEACHER_STAGES: tuple[StageName, ...] = ("evaluate",)
REGISTRATION_STAGES: tuple[StageName, ...] = ("verify",)


def stages_of(generation: int, plan: GenerationPlan) -> tuple[StageName, ...]:
    """Returns the stages of a generation in order. A plan with a search adds it before a student's training.

    Generation 0 trains the first teacher on labeled images alone. One that is given is only evaluated, so that its
    students are compared with it on the same images. Every later generation labels and selects first.
    """
    if plan.registration is not None:
        return REGISTRATION_STAGES
    if plan.given is not None:
        return GIVEN_TEACHER_STAGES
    if generation == 0:
        return TEACHER_STAGES
    return STUDENT_STAGES if plan.search is None else SEARCHED_STUDENT_STAGES


_STAGE_NAMES: dict[str, StageName] = {name: name for name in get_args(StageName)}


def stage_name(text: str) -> StageName:
    """Returns `text` as a stage name. Raises ValueError if it is not one."""
    try:
        return _STAGE_NAMES[text]
    except KeyError:
        raise ValueError(f"there is no stage {text!r}") from None
