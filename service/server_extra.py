"""What a process of the control plane says where the packages of the extra `server` are not installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OURS = {"api", "service", "workers"}


@contextmanager
def needing_server_extra(command: str) -> Iterator[None]:
    """For the imports of a process that `command` starts: ends it with a line that names the extra, where a package
    is missing. A missing module of our own is a fault, and raised as one."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        sys.exit(f"{command} needs {missing}: pip install 'noisy-student[server]'")
