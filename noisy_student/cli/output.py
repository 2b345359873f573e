"""Prints what a command found in the form that `-o` names: a table that fits the terminal or all of it, JSON, YAML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter
from rich.table import Table

from noisy_student.cli.bodies import as_yaml
from noisy_student.cli.terminal import Screen, say, say_json

Item = TypeVar("Item", bound=BaseModel)
Answer = BaseModel | Sequence[BaseModel]
_IDS = ("id", "run", "of")
_WIDE_COLUMNS = 10_000
"""No table is that wide, so nothing is wrapped or cut; the terminal wraps what it cannot show."""


class OutputFormat(StrEnum):
    """The forms in which a command can print what it found."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"

    @property
    def is_for_programs(self) -> bool:
        """Whether the output is one document of data, to which nothing may be added."""
        return self in (OutputFormat.JSON, OutputFormat.YAML)


_FORMATS = "What to print: a table, all columns in full, or JSON or YAML for programs."
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help=_FORMATS)]
"""The option of every command that prints something."""
Report = Annotated[OutputFormat, typer.Option("--report", help=_FORMATS)]
"""The same option of a command whose `-o` names the file that it writes."""
TABLE = OutputFormat.TABLE
"""The default of both."""


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column of a list of items."""

    title: str
    cell: Callable[[Item], str]
    is_wide: bool = False
    """Whether only `-o wide` shows the column."""


def show(answer: Answer, output: OutputFormat, for_people: Callable[[Screen], None]) -> None:
    """Prints the API's answer as data, or calls `for_people` with the screen on which to print it."""
    if output.is_for_programs:
        print_data(answer, output)
    else:
        for_people(screen_of(output))


def show_list(items: Sequence[Item], output: OutputFormat, columns: Sequence[Column[Item]]) -> None:
    """Prints a list as data, or as a table with one row per item."""
    show(items, output, lambda screen: screen.print(table_of(items, output, columns)))


def print_data(answer: Answer, output: OutputFormat) -> None:
    """Prints the API's answer as one document of JSON or YAML on standard output."""
    if output == OutputFormat.YAML:
        print_yaml(as_data(answer))
    elif isinstance(answer, BaseModel):
        say_json(answer.model_dump_json(indent=2))
    else:
        kind = type(answer[0]) if answer else BaseModel
        say_json(TypeAdapter(list[kind]).dump_json(list(answer), indent=2).decode())  # type: ignore[valid-type]


def print_yaml(value: Any) -> None:
    """Prints a value that JSON can hold as YAML that `-f` takes back."""
    say(as_yaml(value).removesuffix("\n"))


def as_data(answer: Answer) -> Any:
    """The answer as JSON's values."""
    return (
        answer.model_dump(mode="json")
        if isinstance(answer, BaseModel)
        else [each.model_dump(mode="json") for each in answer]
    )


def time_of(moment: datetime) -> str:
    """A moment in this machine's time zone, to the minute."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def screen_of(output: OutputFormat) -> Screen:
    """The screen for people: as wide as the terminal, or without a limit for `-o wide`."""
    return Screen(width=_WIDE_COLUMNS) if output == OutputFormat.WIDE else Screen()


def table_of(items: Sequence[Item], output: OutputFormat, columns: Sequence[Column[Item]]) -> Table:
    """One row per item. `-o wide` has all columns."""
    columns = [column for column in columns if output == OutputFormat.WIDE or not column.is_wide]
    table = Table(box=None, header_style="bold")
    for column in columns:
        # An id that is cut or wrapped cannot be copied, so the other columns give way.
        table.add_column(column.title, no_wrap=column.title in _IDS, overflow="fold")
    for item in items:
        table.add_row(*(column.cell(item) for column in columns))
    return table
