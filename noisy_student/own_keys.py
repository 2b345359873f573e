"""Finds the local stack's key, which `noisy-student up` stores, by the API's address.

Each address has one file of mode 0600 in a folder of mode 0700. Only addresses of this machine have one, and a key is
sent only to the stack that created it.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
"""Not `localhost`, which may resolve to ::1, where another program may listen."""


def own_key(api: str) -> str | None:
    """The key of the stack at that address; None if there is none.

    Raises PermissionError if others can read the key, or if another user listens at the address: a stack that was
    killed leaves its key behind, and its port free for anyone.
    """
    path = own_key_path(api)
    if path is None or not path.is_file():
        return None
    from service.port_owner import is_anothers  # clients of remote services do not need it

    if is_anothers(api):
        raise PermissionError(f"what listens at {api} is another user's: your stack's key is not sent there")
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not yours alone: remove it, and start the stack again")
    return path.read_text(encoding="utf-8").strip()


def own_key_path(api: str) -> Path | None:
    """The key's file for that address; None if no local stack can have the address."""
    parts = urlsplit(api)
    if parts.scheme != "http" or parts.hostname != _HOST:
        return None
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state else Path.home() / ".local" / "state"
    return folder / "noisy-student" / f"{_HOST}-{parts.port or 80}.key"
