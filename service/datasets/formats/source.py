"""What every format offers to the inspection: its shards, and how to read the labels and images of a shard."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from workers.data.errors import BrokenImage
from workers.specs.datasets import DatasetFormat, Shard

# How many threads read files. Registration waits for storage, not for processors.
READING_THREADS = 8

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Source(Protocol):
    """An opened dataset: its files are listed and its rows counted, but no image is read yet.

    Reading raises ShardReadError.
    """

    @property
    def format(self) -> DatasetFormat: ...

    @property
    def shards(self) -> tuple[Shard, ...]: ...

    @property
    def image_bytes(self) -> int:
        """The encoded size of all images in bytes, possibly an estimate."""

    @property
    def image_field(self) -> str:
        """The field of the request that an error names if the images cannot be decoded."""

    @property
    def label_field(self) -> str:
        """The field of the request that an error names if a label is missing."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """All classes in index order, if the files give them; else None."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the dataset, one sentence each."""

    def row_name(self, shard_index: int, row: int) -> str:
        """Returns how messages name a row: its file, and the row, key or member in it."""

    def label_names(self, shard_index: int) -> list[str | None]:
        """Returns the class names of a shard's rows, None for a missing label."""

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        """Returns the encoded images of at least one row; for an unreadable image, the reason instead."""

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        """Yields all encoded images of a shard and holds only a few in memory at a time."""


def map_in_threads(function: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[Outcome]:
    """Calls `function` for the items in threads. Yields the results in the items' order; the first error ends it."""
    with ThreadPoolExecutor(max_workers=READING_THREADS) as threads:
        try:
            yield from threads.map(function, items)
        finally:
            threads.shutdown(cancel_futures=True)
