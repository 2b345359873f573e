"""Arrow files, as Hugging Face's `save_to_disk` writes them: finds the columns, and counts the rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.config.datasets import DatasetRequest
from service.datasets.formats.source import map_in_threads
from service.datasets.formats.table_columns import NamesOf, TableHead, TableSource, chosen_columns
from service.datasets.places.location import FoundFile, Location
from service.errors import InvalidRequest
from workers.data.errors import BrokenImage
from workers.data.plain_values import MAX_KEY_CHARACTERS, flaw_of
from workers.data.shards import arrow_shards
from workers.data.shards.parquet_labels import label_texts, partitions
from workers.specs.datasets import DatasetFormat, Shard

ARROW_SUFFIXES = frozenset({"arrow", "feather"})
_LABEL_ROWS = 65_536


@dataclass(frozen=True)
class ArrowSource(TableSource):
    """A `source.Source` for Arrow files. One file is one shard."""

    format: DatasetFormat = "arrow"

    def label_names(self, shard_index: int) -> list[str | None]:
        assert self.label_column is not None
        shard = self.shards[shard_index]
        with arrow_shards.open_arrow(shard.uri) as file:
            if self.label_column not in file.schema.names:
                return [partitions(shard.uri)[self.label_column]] * shard.rows
            pieces = arrow_shards.iterate_columns(file, [self.label_column], _LABEL_ROWS)
            labels = [label for piece in pieces for label in piece[self.label_column]]
        return label_texts(labels, self.class_names or ())

    def read_rows(self, shard_index: int, rows: Sequence[int]) -> list[bytes | BrokenImage]:
        with arrow_shards.open_arrow(self.shards[shard_index].uri) as file:
            return list(arrow_shards.read_image_rows(file, self.image_column, rows))

    def iterate_images(self, shard_index: int) -> Iterator[bytes]:
        with arrow_shards.open_arrow(self.shards[shard_index].uri) as file:
            yield from arrow_shards.iterate_images(file, self.image_column)


def open_arrow_source(
    request: DatasetRequest, location: Location, files: Sequence[FoundFile], names_of: NamesOf
) -> ArrowSource:
    """Reads the schema and the heads of the batches of every file, and chooses the columns.

    Raises InvalidRequest as `chosen_columns` does, and for a key that cannot be displayed.
    """
    uris = [location.uri_of(file) for file in files]
    heads = list(map_in_threads(_read_head, uris))
    columns = chosen_columns(request, heads, names_of)
    rows = list(map_in_threads(arrow_shards.rows_in, uris))
    if columns.key is not None:
        for uri in uris:
            _check_keys(uri, columns.key)
    return ArrowSource(
        shards=tuple(Shard(uri=uri, rows=count) for uri, count in zip(uris, rows, strict=True)),
        image_bytes=sum(file.size for file in files),
        image_column=columns.image,
        label_column=columns.label,
        key_column=columns.key,
        class_names=columns.class_names,
        warnings=columns.warnings,
    )


def _read_head(uri: str) -> TableHead:
    with arrow_shards.open_arrow(uri) as file:
        return TableHead(uri, file.schema, partitions(uri))


def _check_keys(uri: str, column: str) -> None:
    start = 0
    with arrow_shards.open_arrow(uri) as file:
        for piece in arrow_shards.iterate_columns(file, [column], _LABEL_ROWS):
            for row, key in enumerate(piece[column], start):
                flaw = flaw_of(key, MAX_KEY_CHARACTERS) if isinstance(key, str) else None
                if flaw is not None:
                    raise InvalidRequest("key_column", f"{uri} row {row}: its key has {flaw}")
            start += len(piece[column])
