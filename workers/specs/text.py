"""Which text may be stored, encoded and shown, and how any other is written out. Pure."""

import re
from typing import Annotated

from pydantic import StringConstraints

_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # controls: PostgreSQL stores no NUL, and a terminal obeys the others
    "\u2028\u2029"  # they end lines
    "\u202a-\u202e\u2066-\u2069"  # they turn round what follows: a reader sees another text than is there
    "\ud800-\udfff]"  # halves of a character, which no UTF-8 has
)

ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""timm's longest has 62 characters."""


def unfit_character(text: str) -> str | None:
    """The first character that cannot be stored, encoded or shown, as U+001B; None where all can."""
    found = _UNFIT.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def shown(text: str) -> str:
    """The text on one line, each unfit character as its escape: what a terminal or a log may be given."""
    return _UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_json(text: str) -> str:
    """A line of JSON, in which unfit characters can only stand in strings, each as JSON's own escape."""
    return _UNFIT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
