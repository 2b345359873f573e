"""The second pass of materialising: a training shard gathers its part of every run and puts it in its final order."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, open_filesystem, writing
from workers.data.shards.materialized_shards import ROW_GROUP_ROWS, training_shard_uri
from workers.selection.shuffle import Shuffle
from workers.selection.shuffle_runs import ORDER, read_piece, run_name, runs_uri
from workers.specs.base import Frozen
from workers.specs.stages import SelectSpec

_READERS = 8
_PARQUET_OPTIONS: dict[str, Any] = {"compression": {"key": "zstd"}, "use_dictionary": ["label", "pool_shard"]}
"""Encoded images become no smaller."""


class TrainingShardWritten(Frozen):
    """What came of one training shard."""

    rows: int
    bytes: int


class TrainingShardWriter:
    """Writes training shards of `shuffle`, one after the other. Lives in an actor of the pool."""

    def __init__(self, spec: SelectSpec, shuffle: Shuffle) -> None:
        self._folder_uri = spec.folder_uri
        self._runs = [join_uri(runs_uri(spec.folder_uri), run_name(run)) for run in range(shuffle.runs)]

    def __call__(self, number: int) -> bytes:
        """Writes the training shard unless it is there; TrainingShardWritten as JSON."""
        written = written_before(self._folder_uri, number)
        if written is None:
            self._write(number)
            written = written_before(self._folder_uri, number)
            assert written is not None
        return written.model_dump_json().encode()

    def _write(self, number: int) -> None:
        with ThreadPoolExecutor(_READERS) as readers:
            table = pa.concat_tables(readers.map(partial(read_piece, training_shard=number), self._runs))
        columns = [table[name].to_numpy() for name in ("pool_row", "pool_shard", ORDER)]
        final = np.lexsort(columns)
        table = table.drop_columns([ORDER])
        with (
            writing(training_shard_uri(self._folder_uri, number)) as stream,
            pq.ParquetWriter(stream, table.schema, **_PARQUET_OPTIONS) as file,
        ):
            for start in range(0, len(final), ROW_GROUP_ROWS):
                file.write_table(table.take(pa.array(final[start : start + ROW_GROUP_ROWS])))


def written_before(folder_uri: str, number: int) -> TrainingShardWritten | None:
    """What is in a training shard's file; None where there is none."""
    filesystem, path = open_filesystem(training_shard_uri(folder_uri, number))
    try:
        with filesystem.open_input_file(path) as source:
            return TrainingShardWritten(rows=pq.read_metadata(source).num_rows, bytes=source.size())
    except FileNotFoundError:
        return None
