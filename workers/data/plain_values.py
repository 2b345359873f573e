"""Checks that names, keys and labels can be stored, shown and encoded, and writes those that cannot with escapes."""

import re

MAX_CHARACTERS = 1000
"""The longest class name. No folder's name is this long."""
MAX_KEY_CHARACTERS = 4096
"""The longest key, which may be a path or a URI."""

_FLAWS = {
    "a control character": re.compile(r"[\x00-\x1f\x7f-\x9f]"),
    "a lone surrogate": re.compile(r"[\ud800-\udfff]"),
    "a separator of lines": re.compile(r"[\u2028\u2029]"),
    "a character that turns the direction of text": re.compile(r"[\u202a-\u202e\u2066-\u2069]"),
}
_ANY_FLAW = re.compile("|".join(pattern.pattern for pattern in _FLAWS.values()))


def flaw_of(text: str, most_characters: int = MAX_CHARACTERS) -> str | None:
    """Why a text cannot be a name; None if it can.

    A text cannot be a name if a database cannot store it, a terminal would obey it, or nobody could see it.
    """
    if len(text) > most_characters:
        return f"more than {most_characters} characters"
    if not text.strip():
        return "nothing but blanks" if text else "no characters"
    if (found := _ANY_FLAW.search(text)) is None:
        return None
    kind = next(kind for kind, pattern in _FLAWS.items() if pattern.match(found[0]))
    return f"{kind} (U+{ord(found[0]):04X})"


def shown(text: str, most_characters: int = 160) -> str:
    """The text on one printable line: characters that have no shape are written as escapes."""
    line = "".join(letter if letter.isprintable() else _escaped(letter) for letter in text[:most_characters])
    return line if len(text) <= most_characters else f"{line}..."


def printable(text: str) -> str:
    """The text as it is if it can be stored and shown; otherwise with escapes."""
    return text if _ANY_FLAW.search(text) is None else shown(text, MAX_KEY_CHARACTERS)


def _escaped(letter: str) -> str:
    code = ord(letter)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
