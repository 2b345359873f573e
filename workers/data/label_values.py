"""Decides which values of tables and JSON can name a class."""

import json
from collections.abc import Mapping, Sequence

from workers.data.names import LABEL_NAMES, first_known


class UnfitValue(ValueError):
    """A value is neither text nor a whole number. The message tells its kind, and nothing of its content."""


def value_text(value: object) -> str | None:
    """The class name that a value stands for; None for a null or a blank text. Raises UnfitValue for other kinds."""
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnfitValue(f"{kind_of(value)}, it must be a text or a whole number")


def kind_of(value: object) -> str:
    """How people call a value of this type."""
    if isinstance(value, Mapping):
        return "an object"
    kinds = {bool: "true or false", float: "a number with a fraction", int: "a number", bytes: "binary", str: "a text"}
    known = next((name for kind, name in kinds.items() if isinstance(value, kind)), None)
    return known or ("a list" if isinstance(value, Sequence) else f"a {type(value).__name__}")


def label_in_json(content: bytes) -> str | None:
    """The label in a JSON object, found by its name (LABEL_NAMES); None if it has none. Raises UnfitValue."""
    try:
        fields = json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise UnfitValue("nested too deeply") from error
    except ValueError as error:
        raise UnfitValue("in a file that is no JSON") from error
    if not isinstance(fields, dict):
        return None
    name = first_known(LABEL_NAMES, list(fields))
    return None if name is None else value_text(fields[name])
