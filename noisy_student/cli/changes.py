"""Applies `--set PATH=VALUE` to a request body. Pure."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from noisy_student.cli.bodies import read_value


def with_changes(body: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The body with each `PATH=VALUE` carried out, in order. The path is dotted, and a number in it is a list's index;
    the value is YAML.

    Mappings that are not there are made, because only the service knows which fields exist. Raises ValueError, which
    names the change.
    """
    changed = deepcopy(body)
    for change in changes:
        path, equals, text = change.partition("=")
        names = path.strip().split(".")
        if not equals or not all(names):
            raise ValueError(f"{change!r} is no PATH=VALUE, such as student_recipe.steps=2000")
        try:
            _put(changed, names, read_value(text))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return changed


def _put(body: dict[str, Any], names: Sequence[str], value: Any) -> None:
    here: Any = body
    for depth, name in enumerate(names):
        before = ".".join(names[:depth])
        key: Any = name
        if isinstance(here, list):
            if not name.isdecimal() or int(name) > len(here):
                raise ValueError(f"{before} is a list of {len(here)}, and {name!r} is none of its places")
            key = int(name)
            if key == len(here):
                here.append(None)
        elif not isinstance(here, dict):
            raise ValueError(f"{before} is {here!r}, which has no fields")
        if depth == len(names) - 1:
            here[key] = value
            return
        if isinstance(here, dict):
            here.setdefault(key, None)
        if here[key] is None:
            here[key] = {}
        here = here[key]
