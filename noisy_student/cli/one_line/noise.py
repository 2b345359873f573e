"""Leaves out the noise that a model has no layers for, where the service refuses a run because of it."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from noisy_student.cli.one_line.choice import Body, ChosenRun
from noisy_student.errors import InvalidRequest

_NOISE = re.compile(r"(?:run\.)?(teacher_recipe|student_recipe)\.noise\.(dropout|drop_path)")
_MOST_TRIES = 5
Answer = TypeVar("Answer")


def accepted(send: Callable[[Body], Answer], chosen: ChosenRun, say: Callable[[str], None]) -> tuple[Answer, ChosenRun]:
    """Sends the run's body, and again without dropout or drop path where the model cannot have it.

    Returns the answer, with the run that was accepted. What the body sets itself stays. Raises ApiError.
    """
    for _ in range(_MOST_TRIES):
        try:
            return send(chosen.body), chosen
        except InvalidRequest as refusal:
            places = [_NOISE.fullmatch(error.field) for error in refusal.errors]
            if not places or not all(place and _is_left_to_us(chosen.body, *place.groups()) for place in places):
                raise
            for place in places:
                assert place is not None
                recipe, noise = place.groups()
                chosen = _without(chosen, recipe, noise)
                say(f"{recipe}: without {noise.replace('_', ' ')}, for which the model has no layers")
    return send(chosen.body), chosen


def _is_left_to_us(body: Body, recipe: str, noise: str) -> bool:
    return noise not in body.get(recipe, {}).get("noise", {})


def _without(chosen: ChosenRun, recipe: str, noise: str) -> ChosenRun:
    given: dict[str, Any] = chosen.body.get(recipe, {})
    changed = {**given, "noise": {**given.get("noise", {}), noise: 0.0}}
    return replace(chosen, body={**chosen.body, recipe: changed})
