"""Where the key of the local stack lies, found by the API's address: `noisy-student up` leaves it there.

One file for each address, mode 0600, in a folder of mode 0700. Only addresses of this machine have one: a key is sent
to nobody but the stack that made it.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
"""Not `localhost`: what that leads to may be another program's, on ::1."""


def own_key(api: str) -> str | None:
    """The key of the stack at that address, if one is there. Raises PermissionError for one that others can read, and
    where somebody else listens: a stack that was killed has left its key, and its port to whoever comes next."""
    path = own_key_path(api)
    if path is None or not path.is_file():
        return None
    from service.port_owner import is_anothers  # a client of another service has no use for it

    if is_anothers(api):
        raise PermissionError(f"what listens at {api} is another user's: your stack's key is not sent there")
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not yours alone: remove it, and start the stack again")
    return path.read_text(encoding="utf-8").strip()


def own_key_path(api: str) -> Path | None:
    """The file for that address; None for one that no local stack has."""
    parts = urlsplit(api)
    if parts.scheme != "http" or parts.hostname != _HOST:
        return None
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state else Path.home() / ".local" / "state"
    return folder / "noisy-student" / f"{_HOST}-{parts.port or 80}.key"
