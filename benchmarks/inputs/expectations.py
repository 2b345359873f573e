"""Inputs and their permitted outcomes as values. The judge compares with these and knows nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

Body = Mapping[str, Any]
"""The body of POST /datasets."""


@dataclass(frozen=True)
class Row:
    """An image as its author wrote it. `label` is None in unlabeled sets; `content` is b"" if nothing is readable."""

    label: str | None
    content: bytes


@dataclass(frozen=True)
class Accepted:
    """The service answers 201, and the stages' readers return every row byte for byte, in any order."""

    rows: tuple[Row, ...]
    says: tuple[str, ...] = ()
    """Regular expressions that must each match the response's warnings. Case is ignored."""
    classes: tuple[str, ...] | None = None
    """The expected classes in their order; None: in any order."""


@dataclass(frozen=True)
class AnyRows:
    """The service answers 201 with this number of rows, whatever they contain: for bytes damaged on purpose."""

    rows: int


@dataclass(frozen=True)
class Refused:
    """The service answers 4xx with a text that matches every pattern of `says` and none of `never`."""

    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    field: str | None = None
    status: tuple[int, ...] = (422,)


Outcome = Accepted | AnyRows | Refused


@dataclass(frozen=True)
class DatasetInput:
    """Files to register with POST /datasets. The outcome is right if it is any of `expected`."""

    name: str
    kind: str
    make: Callable[[Path], Body]
    """Writes into an empty folder and returns the body, whose name and role are optional and `uri` may be relative."""
    expected: tuple[Outcome, ...]
    most_mib: float | None = None
    """How much memory the service's processes may gain meanwhile, in MiB."""
    most_seconds: float = 60.0
    """How long POST /datasets may take; a person waits for it."""
    needs: str | None = None
    """A program that makes the input, or `python:PACKAGE`. If it is missing, the input counts as skipped."""


@dataclass(frozen=True)
class Decodes:
    """Every reader decodes the picture like `reference` (None: Pillow), to within a mean difference of 1 of 255."""

    reference: Callable[[bytes], Image.Image] | None = None


@dataclass(frozen=True)
class Broken:
    """The picture counts as broken, of one of these kinds, with a reason."""

    kinds: tuple[str, ...]


@dataclass(frozen=True)
class PictureInput:
    """The bytes of one image file."""

    name: str
    kind: str
    make: Callable[[], bytes]
    expected: tuple[Decodes | Broken, ...] = (Decodes(),)
    most_mib: float | None = None


@dataclass(frozen=True)
class Answered:
    """The status is one of these, and the text of the response matches every pattern of `says` and none of `never`."""

    status: tuple[int, ...]
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestInput:
    """A request to any route. `body` turns the body of a good request into the one to send, as JSON or raw bytes."""

    name: str
    kind: str
    method: str
    path: str
    body: Callable[[dict[str, Any]], Any]
    expected: Answered
    good: str = "run"
    """The kind of the good body: run, search, ablation, plan, webhook, dataset."""
    most_seconds: float = 10.0
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class CommandInput:
    """A command line of `noisy-student`, run in the folder that `make` fills and returns."""

    name: str
    kind: str
    make: Callable[[Path], Path]
    words: tuple[str, ...]
    """The arguments. `{run}` stands for the id of an existing run."""
    exit_codes: tuple[int, ...]
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ("Traceback",)
    stdin: bytes = b""


Input = DatasetInput | PictureInput | RequestInput | CommandInput


def rows_of(label: str | None, contents: Iterable[bytes]) -> tuple[Row, ...]:
    """One row per content, all with the same label."""
    return tuple(Row(label, content) for content in contents)


def accepted(*rows: Row, says: tuple[str, ...] = (), classes: tuple[str, ...] | None = None) -> Accepted:
    """`Accepted` with the rows as separate arguments."""
    return Accepted(rows, says, classes)
