"""Writes Markdown. Text from others stands in code spans, where nothing in it is markup."""

from collections.abc import Iterable, Sequence

from workers.specs.text import shown


def quoted(text: str) -> str:
    """Text from others, on one line, as a code span that may stand in a table's cell."""
    return f"`{shown(text).replace('`', chr(39)).replace('|', '/')}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; nothing if it has no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines]) if lines else ""


def fenced(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def bullets(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def percent(share: float | None) -> str:
    """A share in 0..1 as a percentage."""
    return "-" if share is None else f"{share:.2%}"
