"""Options that many commands take, and how answers are printed for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, TypeAdapter

from noisy_student import connection
from noisy_student.cli.terminal import say_json

DEFAULT_API = connection.DEFAULT_API

ApiAddress = Annotated[str, typer.Option("--api", envvar=connection.API_VARIABLE, help="Address of the API.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most, the newest first.")]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", help="The same request with the same key is carried out once.")
]


def print_json(answer: BaseModel | Sequence[BaseModel]) -> None:
    """One JSON document on standard output, as the API gives it."""
    if isinstance(answer, BaseModel):
        say_json(answer.model_dump_json(indent=2))
    else:
        kind = type(answer[0]) if answer else BaseModel
        say_json(TypeAdapter(list[kind]).dump_json(list(answer), indent=2).decode())  # type: ignore[valid-type]


def absolute_path(path: str) -> str:
    """A path of this folder as the API can take it, which may run in another one and refuses `..`."""
    absolute = Path(path).expanduser().absolute()
    # Where a link stands before `..`, only the file system knows what is meant.
    return str(absolute.resolve() if ".." in absolute.parts else absolute)
