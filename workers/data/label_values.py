"""Labels as they stand in tables and JSON: which values can name a class."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workers.data.names import LABEL_NAMES, first_known


class UnfitValue(ValueError):
    """A value that is neither text nor a whole number; the text says its kind, and nothing of what it holds."""


def value_text(value: Any) -> str | None:
    """The text that a value stands for; None for a null or what is blank. Raises UnfitValue for all other kinds."""
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UnfitValue(f"{kind_of(value)}, it must be a text or a whole number")


def kind_of(value: Any) -> str:
    """What a person calls a value of that type."""
    if isinstance(value, Mapping):
        return "an object"
    kinds = {bool: "true or false", float: "a number with a fraction", int: "a number", bytes: "binary", str: "a text"}
    known = next((name for kind, name in kinds.items() if isinstance(value, kind)), None)
    return known or ("a list" if isinstance(value, Sequence) else f"a {type(value).__name__}")


def label_in_json(content: bytes) -> str | None:
    """The label of a JSON object that has one, under a name that labels have. Raises UnfitValue."""
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
