"""The only way to print. Names, labels, messages and logs are foreign text, and a terminal obeys control characters.

So everything printed passes through here, which escapes unfit characters and never reads a value as rich markup.
"""

import re
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from workers.specs.text import in_json, shown

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""The escape sequences with which programs color their logs. They are removed; a log is just as readable without."""


class Screen(Console):
    """rich's console, made safe for foreign text: strings, also in cells and titles of tables, are shown literally."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_harmless(text), **options)


def styled(text: str, style: str = "") -> Text:
    """A value in the given style, on one line."""
    return Text(shown(text), style=style)


def say(text: str, err: bool = False) -> None:
    """Prints lines on standard output, or on standard error if `err` is set."""
    typer.echo(_harmless(text), err=err)


def say_json(text: str) -> None:
    """Prints a JSON document. Unfit characters occur only in its strings, and are printed as JSON escapes."""
    typer.echo("\n".join(map(in_json, text.split("\n"))))


def complain(text: str) -> None:
    """Prints an error in red on standard error."""
    typer.secho(_harmless(text), err=True, fg=typer.colors.RED)


def _harmless(text: str) -> str:
    return "\n".join(shown(line) for line in _COLOURS.sub("", text).expandtabs().split("\n"))
