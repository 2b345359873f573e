"""The first pass of materialising a selection: reads a run of selected rows, repeats and shuffles them, and writes it.

A run is an Arrow IPC file. It has one record batch for each training shard that gets rows from it, which can be read
by itself.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import exists, join_uri, open_filesystem, writing
from workers.data.alignment import read_alignment
from workers.data.marks import SelectionMarks
from workers.data.order.random_order import copy_keys
from workers.data.shards.materialized_shards import MATERIALIZED_FOLDER, training_shard_schema
from workers.data.shards.shard_readers import load_manifest, read_rows
from workers.data.soft_labels import SOFT_LABEL_COLUMNS, ListedClasses
from workers.selection.shuffle import RunPart, Shuffle
from workers.specs.stages import SelectSpec, part_name

RUNS_FOLDER = "runs"
ORDER = "order"
"""The column with the random key of each copy. Only runs have it."""
_TRAINING_SHARDS = b"training_shards"
"""The entry of the schema's metadata that tells which training shard each batch is for, as uint32."""


def runs_uri(folder_uri: str) -> str:
    """The folder of runs below a select folder. It is deleted at the end."""
    return join_uri(folder_uri, MATERIALIZED_FOLDER, RUNS_FOLDER)


def run_name(run: int) -> str:
    """The name of a run's file."""
    return f"run-{run:05d}.arrow"


class RunWriter:
    """Writes runs of `shuffle`, one at a time. Lives in an actor of the pool."""

    def __init__(self, spec: SelectSpec, shuffle: Shuffle) -> None:
        self._spec = spec
        self._shuffle = shuffle
        self._manifest = load_manifest(spec.manifest_uri)
        self._ratios = read_alignment(spec.folder_uri, len(spec.classes))
        self._marks = SelectionMarks.of(spec.folder_uri)

    def __call__(self, run: int) -> bytes:
        """Writes the run unless its file exists. Raises ShardReadError for a shard that cannot be read."""
        uri = join_uri(runs_uri(self._spec.folder_uri), run_name(run))
        if exists(uri):
            return b""
        tables, orders, indices, rows = [], [], [], 0
        for part in self._shuffle.parts(run):
            chosen, copies = _selection(self._spec.folder_uri, part)
            tables.append(self._table(part.shard, chosen))
            indices.append(np.repeat(np.arange(rows, rows + len(chosen)), copies))
            copy = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
            orders.append(copy_keys(self._spec.seed, part.shard, np.repeat(chosen, copies), copy))
            rows += len(chosen)
        self._write(uri, pa.concat_tables(tables), np.concatenate(indices), np.concatenate(orders))
        return b""

    def _table(self, shard: int, chosen: npt.NDArray[np.int32]) -> pa.Table:
        """The chosen rows of a shard, once each."""
        filesystem, path = open_filesystem(join_uri(self._spec.labels_uri, part_name(shard)))
        table = pq.read_table(path, columns=SOFT_LABEL_COLUMNS, filesystem=filesystem)
        schema = training_shard_schema(table.schema.field("top_classes").type.list_size)
        listed = self._marks.applied_to(shard, ListedClasses.of(table)).taken(chosen)
        rows = read_rows(self._manifest, shard, chosen)
        return pa.table(
            {
                "key": pa.array(rows.keys, pa.string()),
                "image": pa.array(rows.images, pa.large_binary()),
                "label": listed.weighed(self._ratios).labels(),
                **listed.columns(),
                "pool_shard": np.full(len(chosen), shard, dtype=np.int32),
                "pool_row": chosen,
            },
            schema=schema,
        )

    def _write(self, uri: str, table: pa.Table, index: npt.NDArray[np.int64], order: npt.NDArray[np.uint64]) -> None:
        by_order = np.argsort(order, kind="stable")
        index, order = index[by_order], order[by_order]
        shards, starts = np.unique(self._shuffle.training_shard_of(order), return_index=True)
        schema = table.schema.append(pa.field(ORDER, pa.uint64()))
        schema = schema.with_metadata({_TRAINING_SHARDS: shards.astype(np.uint32).tobytes()})
        with writing(uri) as stream, pa.ipc.new_file(stream, schema) as file:
            for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
                piece = table.take(pa.array(index[start:end])).append_column(ORDER, pa.array(order[start:end]))
                file.write_table(piece.combine_chunks().cast(schema))


def read_piece(uri: str, training_shard: int) -> pa.Table:
    """The rows of a run that belong to one training shard. There may be none."""
    filesystem, path = open_filesystem(uri)
    with filesystem.open_input_file(path) as source:
        file = pa.ipc.open_file(source)
        shards = np.frombuffer(file.schema.metadata[_TRAINING_SHARDS], dtype=np.uint32)
        place = int(np.searchsorted(shards, training_shard))
        is_there = place < len(shards) and shards[place] == training_shard
        batches = [file.get_batch(place)] if is_there else []
        return pa.Table.from_batches(batches, file.schema).replace_schema_metadata(None)


def _selection(folder_uri: str, part: RunPart) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    filesystem, path = open_filesystem(join_uri(folder_uri, part_name(part.shard)))
    table = pq.read_table(path, filesystem=filesystem).slice(part.first, part.end - part.first)
    return table["row"].to_numpy(), table["copies"].to_numpy()
