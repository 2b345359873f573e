"""Files and folders of this user alone: nobody else on the machine can list, read or change them."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE_UMASK = 0o077
"""With it, a process makes folders of mode 0700 and files of mode 0600, and so do its children."""


def write_private_file(path: Path, text: str) -> None:
    """Writes a file of mode 0600 in the place of one that may be there; never through a link, never half.

    Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


def make_new_private_folder(path: Path) -> None:
    """Makes a folder of mode 0700. Raises FileExistsError: what somebody else has made is not taken for ours."""
    path.mkdir(mode=0o700)


def make_private_folder(path: Path) -> None:
    """Makes the folder, with those above it, or takes it as it is: of mode 0700 from then on.

    Raises PermissionError for one of another user.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user")
    path.chmod(0o700)


def tighten(paths: Iterable[Path], umask: int = PRIVATE_UMASK) -> list[Path]:
    """Takes what `umask` forbids away from files and folders that are there. Gives back those of which it cannot: of
    other users, and on a file system that is read-only, as a mounted secret's.

    Links are passed over: what they lead to may be anybody's.
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
    """The file, to write at its end; of mode 0600 from its first byte on."""
    tighten([path])
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


@contextmanager
def with_private_umask() -> Iterator[None]:
    """What is made meanwhile, by any thread of this process, is this user's alone."""
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)
