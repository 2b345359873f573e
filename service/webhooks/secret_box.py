"""Seals secrets that the service must be able to read again, with a key that is not in the database.

The keys are the lines of a file. The first key seals; all keys open. To change the key, add a new first line and
restart the API and the reconciler, which seals everything again; then remove the old line.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.errors import SecretsUnavailable
from service.private_files import make_private_folder

_SEALED = "fernet:"
"""The prefix of a sealed text. No secret that an earlier version stored in clear begins with it."""


class UnreadableSecret(Exception):
    """The secret was sealed with a key that is not in the file."""


class SecretBox:
    """Seals and opens secrets. Thread-safe. It reads the key file at first use, and creates it if it is missing."""

    def __init__(self, keys_file: Path) -> None:
        self._file = keys_file
        self._lock = threading.Lock()
        self._fernets: Sequence[Fernet] = ()

    def seal(self, text: str) -> str:
        """Returns the sealed text, which may be stored. Raises SecretsUnavailable."""
        return _SEALED + self._keys()[0].encrypt(text.encode()).decode()

    def open(self, stored: str) -> str:
        """Returns the text of a sealed secret, or of one that is stored in clear.

        Raises UnreadableSecret, SecretsUnavailable.
        """
        if not stored.startswith(_SEALED):
            return stored
        try:
            return MultiFernet(self._keys()).decrypt(stored.removeprefix(_SEALED)).decode()
        except InvalidToken as error:
            raise UnreadableSecret(f"sealed with a key that is not in {self._file}") from error

    def is_fresh(self, stored: str) -> bool:
        """Whether the stored secret is sealed with the first key. Raises SecretsUnavailable."""
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
    """Creates the key file. If two processes try at once, one succeeds, and both read the same file."""
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
