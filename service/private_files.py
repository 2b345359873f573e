"""Private files and folders: no other user of the machine can list, read or change them."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE_UMASK = 0o077
"""With this umask, a process and its children create folders with mode 0700 and files with mode 0600."""


def write_private_file(path: Path, text: str) -> None:
    """Writes a file with mode 0600 and replaces an existing one, atomically and never through a link.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def make_new_private_folder(path: Path) -> None:
    """Creates a folder with mode 0700. Raises FileExistsError, since an existing folder may be somebody else's."""
    path.mkdir(mode=0o700)


def make_private_folder(path: Path) -> None:
    """Creates the folder and its parents, or takes an existing one, and sets the folder's mode to 0700.

    Raises PermissionError for a folder of another user.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user")
    path.chmod(0o700)


def tighten(paths: Iterable[Path], umask: int = PRIVATE_UMASK) -> list[Path]:
    """Removes the permissions that `umask` forbids from existing files and folders. Returns those it cannot change.

    It cannot change those of other users and those on a read-only file system, such as a mounted secret. It skips
    links, since they may lead to anybody's files.
    """
    left = []
    for path in paths:
        try:
            status = path.lstat()
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & umask:
                path.chmod(stat.S_IMODE(status.st_mode) & ~umask)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            left.append(path)
    return left


def open_private_log(path: Path) -> BinaryIO:
    """Opens a file for appending. It has mode 0600 from its first byte on."""
    tighten([path])
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


@contextmanager
def with_private_umask() -> Iterator[None]:
    """Makes all files that any thread of this process creates within it private to this user."""
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)
