"""Ends a process of the control plane with a hint if the packages of the extra `server` are not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OURS = {"api", "service", "workers"}


@contextmanager
def needing_server_extra(command: str) -> Iterator[None]:
    """Wraps the imports of a process that `command` starts. If a package is missing, ends it and names the extra.

    A missing module of this project is a bug and is raised.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        sys.exit(f"{command} needs {missing}: pip install 'noisy-student[server]'")
