"""Stores the local stack's key where the client finds it, and removes it."""

from noisy_student.own_keys import own_key_path
from service.private_files import make_private_folder, write_private_file


def keep_own_key(api: str, key: str) -> None:
    """Stores the key for `own_key` to find. Raises OSError."""
    path = own_key_path(api)
    if path is not None:
        make_private_folder(path.parent)
        write_private_file(path, key)


def drop_own_key(api: str, key: str) -> None:
    """Removes the key, unless another stack has stored its own since."""
    path = own_key_path(api)
    if path is not None and path.is_file() and path.read_text(encoding="utf-8") == key:
        path.unlink(missing_ok=True)
