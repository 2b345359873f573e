"""Limits how many of the API's threads call the artifact store at once, and turns its errors into service errors.

A hanging mount blocks every thread that calls it until it is back. If it blocked all threads, users could not even list
or cancel runs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ArtifactStoreUnavailable

CALLS_AT_ONCE = 8
"""How many of the forty threads that answer requests may call the artifact store at once."""
_WAIT_SECONDS = 0.5
_SLOTS = threading.BoundedSemaphore(CALLS_AT_ONCE)


@contextmanager
def artifact_store() -> Iterator[None]:
    """Wraps calls to the artifact store. Do not nest it.

    Raises ArtifactStoreUnavailable if the file system refuses something (a full disk, lost permissions) or if too many
    calls hang.
    """
    if not _SLOTS.acquire(timeout=_WAIT_SECONDS):
        raise ArtifactStoreUnavailable(f"the artifact store does not answer: {CALLS_AT_ONCE} calls wait for it")
    try:
        yield
    except OSError as error:
        raise ArtifactStoreUnavailable(f"the artifact store: {error}") from error
    finally:
        _SLOTS.release()
