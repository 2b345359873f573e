"""Materialises a selection: two passes over an actor pool, resumable after each file (docs/decisions/0010)."""

import logging
from functools import partial

from workers.artifact_io import delete_folder, delete_temporaries, join_uri, list_files
from workers.data.shards.materialized_shards import (
    MATERIALIZED_FOLDER,
    MaterializedIndex,
    read_index,
    write_index,
)
from workers.runtime.shard_pool import map_shards
from workers.runtime.stage_reporter import StageReporter
from workers.selection.shuffle import Shuffle
from workers.selection.shuffle_runs import RunWriter, run_name, runs_uri
from workers.selection.training_shards import TrainingShardWriter, TrainingShardWritten
from workers.specs.stages import SelectSpec

logger = logging.getLogger(__name__)


def materialize(spec: SelectSpec, kept_per_shard: list[int], copies: int, reporter: StageReporter) -> MaterializedIndex:
    """Writes the training shards of a selection that keeps `kept_per_shard` rows, and `copies` rows once repeated.

    A rerun writes only what is missing: the same selection makes the same files. Raises StageError(BAD_DATA) for a
    shard that cannot be read.
    """
    assert spec.settings.materialize is not None
    folder_uri = join_uri(spec.folder_uri, MATERIALIZED_FOLDER)
    index = read_index(spec.folder_uri)
    if index is None:
        shuffle = Shuffle.of(kept_per_shard, copies, spec.settings.materialize.rows_per_shard)
        logger.info("%d rows into %d training shards, by %d runs", copies, shuffle.training_shards, shuffle.runs)
        delete_temporaries(folder_uri)
        delete_temporaries(runs_uri(spec.folder_uri))
        index = _written(spec, shuffle, reporter)
        write_index(spec.folder_uri, index)
    delete_folder(runs_uri(spec.folder_uri))
    return index


def _written(spec: SelectSpec, shuffle: Shuffle, reporter: StageReporter) -> MaterializedIndex:
    reporter.announce(shuffle.runs + shuffle.training_shards, "shards")
    files = list_files(runs_uri(spec.folder_uri))
    missing = [run for run in range(shuffle.runs) if run_name(run) not in files]
    done = shuffle.runs - len(missing)
    for _ in map_shards(partial(RunWriter, spec, shuffle), missing, spec.pool):
        done += 1
        reporter.update(done)
    rows, size = [0] * shuffle.training_shards, 0
    for shard in map_shards(partial(TrainingShardWriter, spec, shuffle), range(shuffle.training_shards), spec.pool):
        written = TrainingShardWritten.model_validate_json(shard.payload)
        rows[shard.shard_index] = written.rows
        size += written.bytes
        done += 1
        reporter.update(done)
    return MaterializedIndex(rows_per_shard=tuple(rows), bytes=size)
