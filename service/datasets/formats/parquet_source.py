"""Parquet datasets: finds the columns, and counts the rows from the footers."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import Lock

import pyarrow.parquet as pq

from service.config.datasets import DatasetRequest
from service.datasets.formats.source import map_in_threads
from service.datasets.formats.table_columns import NamesOf, TableHead, TableSource, chosen_columns
from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.data.errors import BrokenImage
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of
from workers.data.shards import parquet_shards
from workers.data.shards.parquet_labels import label_texts, partitions
from workers.specs.datasets import DatasetFormat, Shard
from workers.specs.hygiene import BrokenKind

PARQUET_SUFFIXES = frozenset({"parquet", "pq", "parq"})

_KEYS_CHECKED = 200_000
"""Registration checks the keys of datasets up to this many rows. Readers of larger ones escape the keys."""


@dataclass(frozen=True)
class _Footer:
    head: TableHead
    metadata: pq.FileMetaData


@dataclass(frozen=True)
class ParquetSource(TableSource):
    """A `source.Source` for Parquet files. One file is one shard."""

    format: DatasetFormat = "parquet"

    def label_names(self, shard_index: int) -> list[str | None]:
        assert self.label_column is not None
        shard = self.shards[shard_index]
        with parquet_shards.open_parquet(shard.uri) as file:
            if self.label_column not in file.schema_arrow.names:
                return [partitions(shard.uri)[self.label_column]] * shard.rows
            labels = parquet_shards.read_columns(file, [self.label_column])[self.label_column]
        return label_texts(labels, self.class_names or ())

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file, _turn(file):
            images: list[bytes | BrokenImage] = list(parquet_shards.read_image_rows(file, self.image_column, rows))
            empty = [place for place, image in enumerate(images) if not image]
            if empty and parquet_shards.has_path(file, self.image_column, rows[empty[0]]):
                for place in empty:
                    images[place] = BrokenImage(BrokenKind.EMPTY, _ONLY_A_PATH)
        return images

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        with parquet_shards.open_parquet(self.shards[shard_index].uri) as file, _turn(file):
            yield from parquet_shards.iterate_images(file, self.image_column)


def open_parquet_source(
    request: DatasetRequest, location: Location, files: Sequence[FoundFile], names_of: NamesOf
) -> ParquetSource:
    """Reads every footer and chooses the columns. Raises InvalidRequest as `chosen_columns` does."""
    if (empty := next((file for file in files if file.size == 0), None)) is not None:
        raise InvalidRequest("uri", f"{location.uri_of(empty)}: not a readable Parquet file: it is empty")
    footers = list(map_in_threads(_read_footer, [location.uri_of(file) for file in files]))
    columns = chosen_columns(request, [footer.head for footer in footers], names_of)
    key_column = columns.key
    if key_column is not None and sum(footer.metadata.num_rows for footer in footers) <= _KEYS_CHECKED:
        list(map_in_threads(lambda footer: _check_keys(footer, key_column), footers))
    return ParquetSource(
        shards=tuple(Shard(uri=footer.head.uri, rows=footer.metadata.num_rows) for footer in footers),
        image_bytes=sum(
            parquet_shards.image_column_bytes(footer.metadata, footer.head.schema, columns.image) for footer in footers
        ),
        image_column=columns.image,
        label_column=columns.label,
        key_column=columns.key,
        class_names=columns.class_names,
        warnings=columns.warnings,
    )


_LARGE_PAGES = Lock()


def _turn(file: pq.ParquetFile) -> AbstractContextManager[object]:
    """Returns a context in which to read a file. Files that may have large pages are read one at a time."""
    return _LARGE_PAGES if parquet_shards.has_large_groups(file.metadata) else nullcontext()


_ONLY_A_PATH = "a path and no bytes: give the format uri_list, or write the images into the file"


def _read_footer(uri: str) -> _Footer:
    with parquet_shards.open_parquet(uri) as file:
        return _Footer(TableHead(uri, file.schema_arrow, partitions(uri)), file.metadata)


def _check_keys(footer: _Footer, column: str) -> None:
    with parquet_shards.open_parquet(footer.head.uri) as file:
        keys = parquet_shards.read_columns(file, [column])[column]
    for row, key in enumerate(keys):
        flaw = flaw_of(key, MAX_KEY_CHARACTERS) if isinstance(key, str) else None
        if flaw is not None:
            raise InvalidRequest("key_column", f"{footer.head.uri} row {row}: its key has {flaw}")
