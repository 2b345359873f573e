"""Training shards: selected images with soft labels, repeated and shuffled. Selection writes, training reads them."""

from dataclasses import dataclass

import pyarrow as pa
from pydantic import Field, ValidationError

from workers.artifact_io import join_uri, read_bytes_if_there, write_bytes
from workers.data.errors import ShardReadError
from workers.specs.base import Frozen

MATERIALIZED_FOLDER = "materialized"
"""The folder of training shards, below the select folder."""
_INDEX_FILE = "index.json"
ROW_GROUP_ROWS = 250
"""Training reads one row group at a time, so that it holds a few thousand images however large the files are."""


@dataclass(frozen=True)
class RowGroup:
    """A row group of one training shard."""

    training_shard: int
    group: int
    rows: int


class MaterializedIndex(Frozen):
    """The index of training shards. It is written last: if it exists, the training shards are complete."""

    rows_per_shard: tuple[int, ...]
    bytes: int = Field(ge=0)
    """The size of all training shards."""

    def row_groups(self) -> list[RowGroup]:
        """The row groups of all training shards, in order."""
        return [
            RowGroup(number, group, min(ROW_GROUP_ROWS, rows - group * ROW_GROUP_ROWS))
            for number, rows in enumerate(self.rows_per_shard)
            for group in range(-(-rows // ROW_GROUP_ROWS))
        ]


def training_shard_uri(selection_uri: str, number: int) -> str:
    """The URI of a training shard."""
    return join_uri(selection_uri, MATERIALIZED_FOLDER, f"train-{number:05d}.parquet")


def training_shard_schema(top_k: int) -> pa.Schema:
    """A training shard's columns. `pool_shard` and `pool_row` say where in the unlabeled dataset a row comes from."""
    return pa.schema(
        [
            pa.field("key", pa.string()),
            pa.field("image", pa.large_binary()),
            pa.field("label", pa.int32()),
            pa.field("top_classes", pa.list_(pa.int32(), top_k)),
            pa.field("top_probabilities", pa.list_(pa.float16(), top_k)),
            pa.field("pool_shard", pa.int32()),
            pa.field("pool_row", pa.int32()),
        ]
    )


def write_index(selection_uri: str, index: MaterializedIndex) -> None:
    """Writes the index, which marks the training shards as complete."""
    write_bytes(join_uri(selection_uri, MATERIALIZED_FOLDER, _INDEX_FILE), index.model_dump_json().encode())


def read_index(selection_uri: str) -> MaterializedIndex | None:
    """The index of a selection's training shards; None if it has none, or they are not complete.

    Raises ShardReadError for a damaged index.
    """
    uri = join_uri(selection_uri, MATERIALIZED_FOLDER, _INDEX_FILE)
    data = read_bytes_if_there(uri)
    if data is None:
        return None
    try:
        return MaterializedIndex.model_validate_json(data)
    except ValidationError as error:
        raise ShardReadError(uri, f"not an index of training shards: {error}") from error
