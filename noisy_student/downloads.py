"""Downloads files and archives: what is written appears when it is complete, not at all if anything fails before."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from noisy_student.connection import Connection
from noisy_student.errors import ApiError, UnexpectedAnswer
from noisy_student.steps import Request, Steps, Work, exchange

_BLOCK_BYTES = 1 << 20


def unpacked(connection: Connection, request: Request, folder: Path) -> Steps[Path]:
    """Downloads a zip of one folder, and unpacks its files into the new `folder`, whose path it returns.

    Files under way are in a hidden folder beside it, which is deleted when the call ends. Only the end of the process
    may leave it. Raises ApiError, also if `folder` exists and is not empty, or cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ApiError(f"{folder} exists already: name another folder, or remove it")
        with _scratch_beside(folder) as scratch:
            archive, files = scratch / "archive.zip", scratch / "files"
            yield from exchange(connection, request, to=archive)
            yield Work(partial(_unpack, archive, files))
            files.rename(folder)
    except OSError as error:
        raise ApiError(f"{folder} cannot be written: {error}") from error
    return folder


def saved(connection: Connection, request: Request, file: Path) -> Steps[Path]:
    """Downloads into `file`, whose path it returns. A file of that name is replaced once the new one is complete.

    Raises ApiError, also if `file` cannot be written.
    """
    try:
        with _scratch_beside(file) as scratch:
            yield from exchange(connection, request, to=scratch / file.name)
            (scratch / file.name).replace(file)
    except OSError as error:
        raise ApiError(f"{file} cannot be written: {error}") from error
    return file


@contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    """A hidden folder on the same file system, so that what is complete can be renamed."""
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unpack(archive: Path, folder: Path) -> None:
    """Writes the files of the archive's only folder. Raises UnexpectedAnswer if it is damaged, or holds anything else.

    zipfile compares each file with its checksum.
    """
    from zipfile import BadZipFile, ZipFile

    folder.mkdir()
    try:
        with ZipFile(archive) as opened:
            for entry in opened.infolist():
                path = PurePosixPath(entry.filename)
                if path.is_absolute() or len(path.parts) != 2 or ".." in path.parts or entry.is_dir():
                    raise UnexpectedAnswer(f"the archive has an entry that is no file of its folder: {path}")
                with opened.open(entry) as source, (folder / path.name).open("xb") as target:
                    shutil.copyfileobj(source, target, _BLOCK_BYTES)
    except (BadZipFile, EOFError) as error:
        raise UnexpectedAnswer(f"the download is no archive, or it is damaged: {error}") from error
