"""Generates the page of the command line from the commands themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from reference_pages.schemas import cell, plain

_BEGINNING = """# Command line

`--help` after any command prints the same. A failed command exits with 1, an incorrect call with 2.
"""


def command_line_page(app: typer.Typer, name: str) -> str:
    """The page in Markdown: every command with its arguments and options."""
    lines = [_BEGINNING]
    for words, command in commands_of(typer.main.get_command(app), (name,)):
        context = command.make_context(words[-1], [], resilient_parsing=True)
        usage = " ".join([*words, *command.collect_usage_pieces(context)])
        lines += [f"## `{' '.join(words)}`", "", plain(command.help or ""), "", "```", usage, "```", ""]
        lines += _options(command.params)
    return "\n".join(lines)


def commands_of(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields the command and all of its subcommands, each with the words that call it."""
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_of(below, (*words, name))


def _options(params: list[Any]) -> list[str]:
    shown = [each for each in params if not getattr(each, "hidden", False)]
    if not shown:
        return []
    rows = [
        f"| {_names(each)} | {cell(_default(each))} | {cell(plain(getattr(each, 'help', None) or ''))} |"
        for each in shown
    ]
    return ["| argument or option | default | meaning |", "| --- | --- | --- |", *rows, ""]


def _names(param: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))


def _default(param: Any) -> str:
    if param.required:
        return "**required**"
    value = param.default
    if value is None or callable(value) or value == () or (isinstance(value, Path) and value.is_absolute()):
        return "–"
    return f"`{value}`" if isinstance(value, str | int | float | bool | Path) else "–"
