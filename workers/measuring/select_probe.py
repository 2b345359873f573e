"""Times selection, and makes label files to select from.

The labels are random, because there is no teacher yet. That does not change what selection or a training step costs.
"""

import time

import numpy as np

from workers.artifact_io import join_uri, list_files, write_bytes
from workers.labeling.label_files import Hygiene, label_table, write_label_file
from workers.runtime.stage_reporter import StageReporter
from workers.selection.shard_ranges import most_processes
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import PseudoLabels
from workers.specs.measure import SelectMeasurement
from workers.specs.selection import SelectionSettings
from workers.specs.stages import MeasureSpec, SelectSpec, part_name

_MANY_ROWS = 500_000
_FEW_ROWS = 16
_SHARDS = 8
_ALL_OF_THEM = SelectionSettings(min_confidence=0.0, fill_up=False)


def make_labels(spec: MeasureSpec, manifest_uri: str, manifest: DatasetManifest, folder_uri: str) -> PseudoLabels:
    """Writes label files for a dataset, and a selection of all its rows."""
    labels_uri, selection_uri = join_uri(folder_uri, "label"), join_uri(folder_uri, "select")
    rows = [shard.rows for shard in manifest.shards]
    _write_labels(labels_uri, rows, len(spec.classes), spec.top_k, spec.seed)
    _select(spec, manifest_uri, labels_uri, selection_uri, spec.classes)
    return PseudoLabels(manifest_uri=manifest_uri, labels_uri=labels_uri, selection_uri=selection_uri)


def measure_select(spec: MeasureSpec, folder_uri: str) -> SelectMeasurement:
    """Measures the cost of a shard with some tiny shards, and the cost of rows with one large shard."""
    few, _ = _timed(spec, [_FEW_ROWS] * _SHARDS, join_uri(folder_uri, "few"))
    many, stored_bytes = _timed(spec, [_MANY_ROWS], join_uri(folder_uri, "many"))
    a_shard = few / _SHARDS
    return SelectMeasurement(
        seconds_a_shard=a_shard,
        seconds_a_million_rows=max(0.0, many - a_shard) * 1e6 / _MANY_ROWS,
        bytes_a_row=stored_bytes / _MANY_ROWS,
        cores=most_processes(),
    )


def _timed(spec: MeasureSpec, rows: list[int], folder_uri: str) -> tuple[float, int]:
    """The seconds that a selection takes, and the bytes that it writes."""
    labels_uri, selection_uri = join_uri(folder_uri, "label"), join_uri(folder_uri, "select")
    # Two classes keep the table of probabilities small. What selection reads does not depend on their number.
    _write_labels(labels_uri, rows, 2, 1, spec.seed)
    manifest = DatasetManifest(
        dataset_id="made",
        role="unlabeled",
        format="parquet",
        classes=(),
        rows=sum(rows),
        shards=tuple(Shard(uri=f"made-{index}", rows=count) for index, count in enumerate(rows)),
    )
    manifest_uri = join_uri(folder_uri, "manifest.json")
    write_bytes(manifest_uri, manifest.model_dump_json().encode())
    started_at = time.perf_counter()
    _select(spec, manifest_uri, labels_uri, selection_uri, ("0", "1"))
    seconds = time.perf_counter() - started_at
    files = list_files(selection_uri)
    return seconds, sum(files[part_name(index)] for index in range(len(rows)))


def _write_labels(labels_uri: str, rows: list[int], classes: int, top_k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for index, count in enumerate(rows):
        weights = generator.random((count, classes), dtype=np.float32) + np.float32(1e-3)
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        hashes = [b"%016d" % row for row in range(count)]
        table, _ = label_table([""] * count, Hygiene(hashes, [None] * count, {}, {}), probabilities, top_k)
        write_label_file(labels_uri, index, table, {}, [])


def _select(
    spec: MeasureSpec, manifest_uri: str, labels_uri: str, selection_uri: str, classes: tuple[str, ...]
) -> None:
    select = SelectSpec(
        run_id=spec.run_id,
        generation=spec.generation,
        attempt=spec.attempt,
        folder_uri=selection_uri,
        seed=spec.seed,
        manifest_uri=manifest_uri,
        labels_uri=labels_uri,
        classes=classes,
        settings=_ALL_OF_THEM,
    )
    run_select(select, StageReporter(select, time.time()))
