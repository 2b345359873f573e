"""What goes wrong when images and shards are read."""

from workers.specs.hygiene import BrokenKind


class BrokenImage(Exception):
    """One picture cannot be used; `reason` is a short line. It is counted and passed over, never fatal by itself."""

    def __init__(self, kind: BrokenKind, reason: str) -> None:
        # Both go to args, so that the error survives pickling.
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class ShardReadError(Exception):
    """A whole shard (or its manifest) cannot be read, or is not what was registered; names the file."""

    def __init__(self, uri: str, message: str) -> None:
        # Both go to args, so that the error survives pickling on its way through Ray.
        super().__init__(uri, message)
        self.uri = uri
        self.message = message

    def __str__(self) -> str:
        return f"{self.uri}: {self.message}"
