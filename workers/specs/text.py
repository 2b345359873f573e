"""Which characters can be stored, encoded and shown, and how to escape the others. Pure."""

import re
from typing import Annotated

from pydantic import StringConstraints

_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: PostgreSQL cannot store NUL, and a terminal obeys the others
    "\u2028\u2029"  # line separators
    "\u202a-\u202e\u2066-\u2069"  # bidirectional controls, which show a reader another text than is there
    "\ud800-\udfff]"  # surrogates, which UTF-8 cannot encode
)

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""timm's longest model name has 62 characters."""


def unfit_character(text: str) -> str | None:
    """The first character that cannot be stored, encoded or shown, written like U+001B; None if there is none."""
    found = _UNFIT.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def shown(text: str) -> str:
    """The text on one line with unfit characters escaped, safe for a terminal or a log."""
    return _UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_json(text: str) -> str:
    """One line of JSON with unfit characters as JSON escapes. In valid JSON they occur only within strings."""
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
