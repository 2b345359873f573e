"""Reads the pictures of exported labels from the pool, shard by shard."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from workers.data.pool_labels import LABEL_SCHEMA, PoolLabels
from workers.data.shards.shard_readers import read_rows
from workers.specs.datasets import DatasetManifest
from workers.specs.label_export import LabelFilter

_PICTURES_AT_A_TIME = 512


@dataclass(frozen=True)
class LabeledPicture:
    """One image of the pool, encoded as it lies there, and its row of LABEL_SCHEMA."""

    image: bytes
    row: Mapping[str, Any]


@dataclass(frozen=True)
class ExportedLabels:
    """The labels to export. Broken images have no picture, and are left out."""

    labels: PoolLabels
    wanted: LabelFilter
    limited_to: Mapping[int, Set[int]] | None = None
    """The rows by shard, if only the most confident of each class are wanted; None: all."""

    def rows(self, shard: int) -> pa.Table:
        """The rows of a shard."""
        batches = [batch.filter(batch["label"].is_valid()) for batch in self.labels.batches(shard, self.wanted)]
        table = pa.Table.from_batches(batches, LABEL_SCHEMA)
        if self.limited_to is None:
            return table
        kept = self.limited_to.get(shard, frozenset())
        return table.filter(pa.array([row in kept for row in table["row"].to_pylist()], pa.bool_()))

    def pictures(self, manifest: DatasetManifest, shard: int) -> Iterator[LabeledPicture]:
        """Yields the rows of a shard with their pictures. Raises ShardReadError."""
        rows = self.rows(shard)
        images = read_rows(manifest, shard, np.array(rows["row"], dtype=np.int64)).images if len(rows) else ()
        place = 0
        for batch in rows.to_batches(_PICTURES_AT_A_TIME):
            for row in batch.to_pylist():
                yield LabeledPicture(images[place], row)
                place += 1


def most_confident(labels: PoolLabels, wanted: LabelFilter, limit: int) -> dict[int, set[int]]:
    """The `limit` most confident rows of each class, by shard. Among equals the first ones of the pool are kept."""
    best: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
    floors = np.full(len(labels.source.classes), -1, dtype=np.float32)
    for shard in range(labels.source.shards):
        for batch in labels.batches(shard, wanted):
            kept = batch.filter(batch["label"].is_valid())
            # Of a large pool, nearly all rows are no better than what each class has already.
            better = kept["confidence"].to_numpy() > np.take(floors, kept["label"].to_numpy())
            kept = kept.filter(pa.array(better))
            columns = (kept[name].to_pylist() for name in ("label", "confidence", "row"))
            for label, confidence, row in zip(*columns, strict=True):
                heap, item = best[label], (confidence, -shard, -row)
                if len(heap) < limit:
                    heapq.heappush(heap, item)
                elif item > heap[0]:
                    heapq.heapreplace(heap, item)
                if len(heap) == limit:
                    floors[label] = heap[0][0]
    rows: dict[int, set[int]] = defaultdict(set)
    for heap in best.values():
        for _, shard, row in heap:
            rows[-shard].add(-row)
    return dict(rows)
