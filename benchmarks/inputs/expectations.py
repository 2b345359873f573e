"""What an input is, and what may come of it: the judge compares with these values and knows nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

Body = Mapping[str, Any]
"""Of POST /datasets."""


@dataclass(frozen=True)
class Row:
    """An image as its maker knows it; `label` is None in an unlabeled set, `content` b"" where nothing can be read."""

    label: str | None
    content: bytes


@dataclass(frozen=True)
class Accepted:
    """201: every row comes back through the stages' readers, byte for byte, whatever their order."""

    rows: tuple[Row, ...]
    says: tuple[str, ...] = ()
    """Patterns (regular expressions, case ignored) of which each must be in the answer's warnings."""
    classes: tuple[str, ...] | None = None
    """In this order; None: whichever order."""


@dataclass(frozen=True)
class AnyRows:
    """201 with so many rows, whatever they hold: for bytes that were damaged on purpose."""

    rows: int


@dataclass(frozen=True)
class Refused:
    """4xx, with every pattern of `says` and none of `never` in its text."""

    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    field: str | None = None
    status: tuple[int, ...] = (422,)


Outcome = Accepted | AnyRows | Refused


@dataclass(frozen=True)
class DatasetInput:
    """Files for POST /datasets. It is right when any one of `expected` comes."""

    name: str
    kind: str
    make: Callable[[Path], Body]
    """Writes below an empty folder; the body's name and role may be left out, a relative `uri` begins at the folder."""
    expected: tuple[Outcome, ...]
    most_mib: float | None = None
    """That the service's processes may gain meanwhile."""
    most_seconds: float = 60.0
    """A person waits for POST /datasets."""
    needs: str | None = None
    """A program that makes the input, or `python:PACKAGE`; without it the input is skipped, and counted as such."""


@dataclass(frozen=True)
class Decodes:
    """As `reference` says, within a mean of 1 of 255, everywhere that a picture is read. None: as Pillow does."""

    reference: Callable[[bytes], Image.Image] | None = None


@dataclass(frozen=True)
class Broken:
    """Counted under one of these kinds, with a reason."""

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
    """A request's status is one of these; the text of the answer has every pattern of `says`, none of `never`."""

    status: tuple[int, ...]
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


@dataclass(frozen=True)
class RequestInput:
    """A request to any route. `body` is given what a good request would send, and may answer raw bytes."""

    name: str
    kind: str
    method: str
    path: str
    body: Callable[[dict[str, Any]], Any]
    expected: Answered
    good: str = "run"
    """Which good body it begins with: run, search, ablation, plan, webhook, dataset."""
    most_seconds: float = 10.0
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True)
class CommandInput:
    """A command line of `noisy-student`, typed in the folder that `make` has filled and gives."""

    name: str
    kind: str
    make: Callable[[Path], Path]
    words: tuple[str, ...]
    """`{run}` is a run that there is."""
    exit_codes: tuple[int, ...]
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ("Traceback",)
    stdin: bytes = b""


Input = DatasetInput | PictureInput | RequestInput | CommandInput


def rows_of(label: str | None, contents: Iterable[bytes]) -> tuple[Row, ...]:
    """Rows with the same label."""
    return tuple(Row(label, content) for content in contents)


def accepted(*rows: Row, says: tuple[str, ...] = (), classes: tuple[str, ...] | None = None) -> Accepted:
    """Shorter where rows are listed one by one."""
    return Accepted(rows, says, classes)
