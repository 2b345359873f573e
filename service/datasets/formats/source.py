"""What every format gives the inspection: its shards, and ways to read labels and images of a shard."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from workers.data.errors import BrokenImage
from workers.specs.datasets import DatasetFormat, Shard

# Files are read by so many threads: registration waits for storage, not for processors.
READING_THREADS = 8

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Source(Protocol):
    """An opened dataset: all files listed, all rows counted, no image read yet. Reading raises ShardReadError."""

    @property
    def format(self) -> DatasetFormat: ...

    @property
    def shards(self) -> tuple[Shard, ...]: ...

    @property
    def image_bytes(self) -> int:
        """Encoded size of all images, at least roughly."""

    @property
    def image_field(self) -> str:
        """The field of the request that is to blame when the images cannot be decoded."""

    @property
    def label_field(self) -> str:
        """The field of the request that is to blame when a label is missing."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """All classes in index order, where the files themselves say them."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of it."""

    def row_name(self, shard_index: int, row: int) -> str:
        """How a message names a row: its file, and the row, key or member in it."""

    def label_names(self, shard_index: int) -> list[str | None]:
        """The class names of a shard's rows; None for a missing label."""

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        """The encoded images of some rows (at least one), or why one cannot be read."""

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        """All encoded images of a shard, few in memory at a time."""


def map_in_threads(function: Callable[[Item], Outcome], items: Sequence[Item]) -> Iterator[Outcome]:
    """Outcomes in the order of the items; the first error ends it."""
    with ThreadPoolExecutor(max_workers=READING_THREADS) as threads:
        try:
            yield from threads.map(function, items)
        finally:
            threads.shutdown(cancel_futures=True)
