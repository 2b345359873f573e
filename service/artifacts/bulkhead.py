"""The artifact store as the API's threads call it: what it refuses is an error of ours, and a few call it at once.

A mount that hangs keeps every thread that calls it until it is back. Were that all of them, runs could not even be
listed, or cancelled.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ArtifactStoreUnavailable

CALLS_AT_ONCE = 8
"""Of the forty threads that answer requests."""
_WAIT_SECONDS = 0.5
_SLOTS = threading.BoundedSemaphore(CALLS_AT_ONCE)


@contextmanager
def artifact_store() -> Iterator[None]:
    """Raises ArtifactStoreUnavailable where the file system refuses something (a full disk, lost rights), and where
    too many calls hang. Not to be nested."""
    if not _SLOTS.acquire(timeout=_WAIT_SECONDS):
        raise ArtifactStoreUnavailable(f"the artifact store does not answer: {CALLS_AT_ONCE} calls wait for it")
    try:
        yield
    except OSError as error:
        raise ArtifactStoreUnavailable(f"the artifact store: {error}") from error
    finally:
        _SLOTS.release()
