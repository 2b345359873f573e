"""The errors of reading images and shards."""

from workers.artifact_io import is_store_error
from workers.specs.hygiene import BrokenKind
from workers.specs.reports import FailureReason


class BrokenImage(Exception):
    """One picture cannot be used. It is counted and skipped, and never ends a stage by itself.

    `reason` is a short line for people.
    """

    def __init__(self, kind: BrokenKind, reason: str) -> None:
        # Both go to args, so that the error survives pickling.
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ShardReadError(Exception):
    """A whole shard, or a manifest, cannot be read, or is not what was registered. The text names the file."""

    def __init__(self, uri: str, message: str) -> None:
        # Both go to args, so that the error survives pickling on its way through Ray.
        super().__init__(uri, message)
        self.uri = uri
        self.message = message

    def __str__(self) -> str:
        return f"{self.uri}: {self.message}"


class StoreReadError(ShardReadError):
    """The storage fails to return a file that may well be whole: another attempt may read it."""


def read_error(uri: str, problem: str, error: Exception) -> ShardReadError:
    """The error to raise for a file that could not be read: it tells `problem`, unless the storage is to blame."""
    if is_store_error(error):
        return StoreReadError(uri, f"the storage does not give it: {error}")
    return ShardReadError(uri, f"{problem}: {error}")


def read_failure(error: Exception) -> FailureReason:
    """The failure reason of a stage that cannot read its data. Only a storage failure is worth another attempt."""
    store_is_to_blame = isinstance(error, StoreReadError) or is_store_error(error)
    return FailureReason.ARTIFACT_STORE if store_is_to_blame else FailureReason.BAD_DATA
