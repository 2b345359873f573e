"""Finds the shards that have no finished file, so that a rerun leaves the others as they are. Imports no Ray."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from workers.artifact_io import list_files
from workers.specs.datasets import DatasetManifest
from workers.specs.stages import part_name

_FOOTER_READERS = 16
_FOOTERS_AHEAD = 1024
"""How many footers are asked for at a time. Each takes some kilobytes of memory until its turn."""


class PartSummary(Protocol):
    """What the footer of a finished shard's file says."""

    @property
    def rows(self) -> int:
        """The rows of the shard."""
        ...


Summary = TypeVar("Summary", bound=PartSummary)


def unfinished_shards(
    folder_uri: str,
    manifest: DatasetManifest,
    read: Callable[[int], Summary | None],
    add: Callable[[Summary], None],
) -> Iterator[int]:
    """Yields the shards that have no complete file in the folder, and calls `add` for the others.

    `read` returns the summary of a shard's file; None if the file is of no use.
    """
    files = list_files(folder_uri)
    there = [index for index in range(len(manifest.shards)) if part_name(index) in files]
    yield from (index for index in range(len(manifest.shards)) if part_name(index) not in files)
    with ThreadPoolExecutor(_FOOTER_READERS) as readers:
        for start in range(0, len(there), _FOOTERS_AHEAD):
            some = there[start : start + _FOOTERS_AHEAD]
            for index, summary in zip(some, readers.map(read, some), strict=True):
                if summary is not None and summary.rows == manifest.shards[index].rows:
                    add(summary)
                else:
                    yield index
