"""Secrets that are stored and needed again, which hashes would not do for: sealed with a key that is not beside them.

The keys are lines of a file. The first seals, all open: to change the key, put a new line first and start API and
reconciler again, which seals everything anew; the old line may go then.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.errors import SecretsUnavailable
from service.private_files import make_private_folder

_SEALED = "fernet:"
"""What a sealed text begins with. Of those in clear, made by earlier versions, none does."""


class UnreadableSecret(Exception):
    """It was sealed with a key that is not in the file."""


class SecretBox:
    """Thread-safe. The file is read at the first use, and made where it is missing."""

    def __init__(self, keys_file: Path) -> None:
        self._file = keys_file
        self._lock = threading.Lock()
        self._fernets: Sequence[Fernet] = ()

    def seal(self, text: str) -> str:
        """What may be stored of it. Raises SecretsUnavailable."""
        return _SEALED + self._keys()[0].encrypt(text.encode()).decode()

    def open(self, stored: str) -> str:
        """The text again, also of one that is stored in clear. Raises UnreadableSecret,
        SecretsUnavailable."""
        if not stored.startswith(_SEALED):
            return stored
        try:
            return MultiFernet(self._keys()).decrypt(stored.removeprefix(_SEALED)).decode()
        except InvalidToken as error:
            raise UnreadableSecret(f"sealed with a key that is not in {self._file}") from error

    def is_fresh(self, stored: str) -> bool:
        """Whether it is sealed with the first key."""
        if not stored.startswith(_SEALED):
            return False
        try:
            self._keys()[0].decrypt(stored.removeprefix(_SEALED))
        except InvalidToken:
            return False
        return True

    def _keys(self) -> Sequence[Fernet]:
        with self._lock:
            if not self._fernets:
                try:
                    self._fernets = _read_keys(self._file)
                except (OSError, ValueError) as error:
                    raise SecretsUnavailable(f"the keys of stored secrets cannot be read: {error}") from error
            return self._fernets


def _read_keys(file: Path) -> Sequence[Fernet]:
    try:
        lines = file.read_text(encoding="ascii").split()
    except FileNotFoundError:
        _make(file)
        lines = file.read_text(encoding="ascii").split()
    try:
        keys = [Fernet(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"{file}: each line must be a key: 32 bytes in URL-safe base64") from error
    if not keys:
        raise ValueError(f"{file} holds no key; without the file, one is made")
    return keys


def _make(file: Path) -> None:
    """Of two processes that come at once, one makes it, and both read the same."""
    make_private_folder(file.parent)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(Fernet.generate_key() + b"\n")
        os.link(temporary, file)
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)
