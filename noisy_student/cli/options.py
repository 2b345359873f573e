"""Options that many commands share, and the JSON output for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, TypeAdapter

from noisy_student import connection
from noisy_student.cli.terminal import say_json

DEFAULT_API = connection.DEFAULT_API

ApiAddress = Annotated[str, typer.Option("--api", envvar=connection.API_VARIABLE, help="The API's address.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Maximum number of rows, newest first.")]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", help="Carry out a request repeated with this key only once.")
]


def print_json(answer: BaseModel | Sequence[BaseModel]) -> None:
    """Prints the API's response as one JSON document on standard output."""
    if isinstance(answer, BaseModel):
        say_json(answer.model_dump_json(indent=2))
    else:
        kind = type(answer[0]) if answer else BaseModel
        say_json(TypeAdapter(list[kind]).dump_json(list(answer), indent=2).decode())  # type: ignore[valid-type]


def absolute_path(path: str) -> str:
    """Returns `path` as an absolute path, because the API may run in another folder and rejects `..`."""
    absolute = Path(path).expanduser().absolute()
    # If a link precedes `..`, only the file system knows the target.
    return str(absolute.resolve() if ".." in absolute.parts else absolute)
