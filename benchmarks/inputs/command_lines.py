"""Command lines as people type them: relative paths, files that are not request bodies, odd arguments."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.inputs.expectations import CommandInput
from benchmarks.inputs.trees import Files, class_folders, write

_KIND = "command lines"
_PETS = {f"data/pets/{name}": content for name, content in class_folders().items()}


def inputs() -> Iterator[CommandInput]:
    """Yields all inputs of this module."""
    yield from _places()
    yield from _files()
    yield from _words()


def _input(
    name: str, stands_in: str, words: tuple[str, ...], *says: str, code: int = 0, stdin: bytes = b""
) -> CommandInput:
    make: Callable[[Path], Path] = partial(_made, _PETS | {"work/here.txt": b"x"}, stands_in)
    # 1: no body; 2: a wrong option; 3 and 4: what the service does not know or refuses.
    codes = (0,) if code == 0 else (1, 2, 3, 4)
    return CommandInput(name, _KIND, make, words, codes, says, stdin=stdin)


def _made(files: Files, stands_in: str, folder: Path) -> Path:
    write(folder, files)
    os.symlink("data/pets", folder / "link")
    return folder / stands_in


def _add(place: str, *more: str) -> tuple[str, ...]:
    return ("datasets", "add", place, "--role", "labeled", *more)


_GOOD_PLACES = (
    *(("work", "../data/pets"), ("work", "./../data/pets/"), ("work", "../data/../data/pets"), ("work", "../link/")),
    *(("data", "pets"), ("data", "./pets"), ("data/pets", "."), ("data/pets/cat", "..")),
    *((".", "data//pets"), (".", "link")),
)
_NO_PLACES = (
    *("../absent", "absent", "~/absent", "", "here.txt", "s3://[x", "https://example.org/a", "abfss://b@a/c"),
    *("\x1b[31mred",),
)
_NO_BODIES = {
    "nothing": b"",
    "no JSON": b"{name: a}",
    "a list": b"[]",
    "a number": b"1",
    "latin-1": b'{"name": "caf\xe9"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "deep lists": b"[" * 100_000,
    "an escape": b'{"name": "\\u001b[31m"}',
    "NaN": b'{"name": NaN}',
    "a BOM": b"\xef\xbb\xbf{}",
    "ten thousand digits": b'{"seed": ' + b"9" * 10_000 + b"}",
}


def _places() -> Iterator[CommandInput]:
    for stands_in, place in _GOOD_PLACES:
        yield _input(f"datasets add {place}", stands_in, _add(place), "cat", "dog", "6")
    for place in _NO_PLACES:
        yield _input(f"datasets add {place!r}", "work", _add(place), code=1)


def _files() -> Iterator[CommandInput]:
    for name, text in _NO_BODIES.items():
        yield _input(f"runs create of {name}", "work", ("runs", "create", "-f", "-"), code=1, stdin=text)
    absent = ("runs", "create", "-f", "absent.json")
    yield _input("runs create of a file that is not there", "work", absent, r"absent\.json", code=1)
    yield _input("runs create of a folder", "work", ("runs", "create", "-f", "."), code=1)


def _words() -> Iterator[CommandInput]:
    for name in ("[bold]x[/bold]", "[/x]", "it's", "\U0001f431", "a" * 120):
        yield _input(f"a name {name[:20]}", ".", _add("data/pets", "--name", name))
        yield _input(f"a name {name[:20]}, listed", ".", ("datasets", "list"))
    for name in ("\x1b[31mred", "a" * 121, "\x9b31m", "  "):
        yield _input(f"a name {name[:20]!r}", ".", _add("data/pets", "--name", name), code=1)
    yield _input("a run that there is", ".", ("runs", "show", "{run}"))
    yield _input("a run that there is not", ".", ("runs", "show", "run-nothing"), "run-nothing", code=1)
    yield _input("a run of odd letters", ".", ("runs", "show", "../\x1b[31m"), code=1)
    yield _input("a role that is none", ".", ("datasets", "add", "data/pets", "--role", "teacher"), "role", code=1)
    yield _input("a format that is none", ".", _add("data/pets", "--format", "csv"), "format", code=1)
    yield _input("all runs", ".", ("runs", "list"), "run-")
    yield _input("all runs as JSON", ".", ("runs", "list", "-o", "json"), "run-")
