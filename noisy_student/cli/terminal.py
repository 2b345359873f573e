"""The only way to the terminal: names, labels, messages and logs are other people's text, and it obeys control codes.

Whatever is printed goes through here: unfit characters are escaped, and no value is read as rich's markup.
"""

import re
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from workers.specs.text import in_json, shown

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""What programs colour their logs with: left out, for a log is as readable without."""


class Screen(Console):
    """rich's console for values: strings, in cells and titles of tables too, are shown as they are, harmlessly."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_harmless(text), **options)


def styled(text: str, style: str = "") -> Text:
    """A value in a colour, on one line."""
    return Text(shown(text), style=style)


def say(text: str, err: bool = False) -> None:
    """Prints lines on standard output, or on standard error."""
    typer.echo(_harmless(text), err=err)


def say_json(text: str) -> None:
    """Prints a JSON document: what is unfit stands in its strings, where JSON has an escape for it."""
    typer.echo("\n".join(map(in_json, text.split("\n"))))


def complain(text: str) -> None:
    """Prints in red on standard error."""
    typer.secho(_harmless(text), err=True, fg=typer.colors.RED)


def _harmless(text: str) -> str:
    return "\n".join(shown(line) for line in _COLOURS.sub("", text).expandtabs().split("\n"))
