"""Leaves the key of the local stack where the client finds it, and takes it away."""

from noisy_student.own_keys import own_key_path
from service.private_files import make_private_folder, write_private_file


def keep_own_key(api: str, key: str) -> None:
    """Leaves it for `own_key`. Raises OSError."""
    path = own_key_path(api)
    if path is not None:
        make_private_folder(path.parent)
        write_private_file(path, key)


def drop_own_key(api: str, key: str) -> None:
    """Takes it away, unless another stack has left its own meanwhile."""
    path = own_key_path(api)
    if path is not None and path.is_file() and path.read_text(encoding="utf-8") == key:
        path.unlink(missing_ok=True)
