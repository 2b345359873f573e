"""The common part of scenes that start several servers and processes: what has begun is ended, whatever fails."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class StartedParts:
    """A context that starts its parts in `_start`, and ends those on `_open` in the opposite order.

    They end with the block, and also if `_start` fails half-way.
    """

    def __init__(self) -> None:
        self._open = ExitStack()

    def _start(self) -> None:
        """Starts the parts, and puts each on `_open` as it begins."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()
