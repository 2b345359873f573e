"""Selection at the paper's size: 300 million predictions of 1,000 classes in label files on disk, with an exact cap.

Label files of 100,000 rows are made once, in build/benchmark-selection (7 GB), with uneven classes and doubts over many
orders of magnitude. Each run is the select stage alone in a new Python process, including all it writes. Its memory is
that of all its processes, with shared pages counted once (PSS). A first run, not counted, fills the page cache.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import ResultRow, row, save
from benchmarks.support.process_memory import peak_mib_while
from benchmarks.support.two_cores import hold_to_two_cores
from workers.labeling.label_files import PARQUET_OPTIONS
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec, part_name

FOLDER = Path("build/benchmark-selection")
MILLIONS = int(os.environ.get("MILLIONS", "300"))
RUNS = 3
_ROWS = 100_000
_CLASSES = 1_000
_CAP = 130_000
"""Images per class, as in the paper (section 3.1)."""


def main() -> None:
    """Makes the label files if they are missing, runs the stage, and writes the rows."""
    hold_to_two_cores()
    shards = MILLIONS * 1_000_000 // _ROWS
    _make_label_files(shards)
    seconds, mib = [], []
    # ext4 examines every recently freed inode before it takes another. All files are deleted at the end, so that no run
    # pays for those of an earlier one.
    with tempfile.TemporaryDirectory(prefix="select-", dir=FOLDER) as selections:
        for run in range(RUNS + 1):
            folder = Path(selections) / str(run)
            started_at = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.data_plane.selection", "one", str(shards), str(folder)]
            )
            mib.append(peak_mib_while(process))
            seconds.append(time.monotonic() - started_at)
            print(f"run {run}: {seconds[-1]:.1f} s, {mib[-1]:.0f} MiB" + ("" if run else " (not counted)"), flush=True)
    del seconds[0], mib[0]
    command = "make benchmark-selection" + ("" if MILLIONS == 300 else f" MILLIONS={MILLIONS}")
    name = f"selection.{MILLIONS}m"
    rows: list[ResultRow] = [
        row(f"{name}.seconds", seconds, "s; the whole process, reading and writing", "goal: 15 s", command),
        row(f"{name}.peak_mib", mib, "MiB; all processes", "goal: 1,024 MiB", command),
    ]
    save(rows)


def run_once(shards: int, folder: Path) -> None:
    """Runs the select stage on the label files, into a folder that does not exist yet."""
    from workers.runtime.stage_reporter import StageReporter
    from workers.selection.stage import run_select

    spec = SelectSpec(
        run_id="benchmark",
        generation=1,
        attempt=1,
        folder_uri=str(folder),
        seed=0,
        manifest_uri=str(_write_manifest(shards)),
        labels_uri=str(FOLDER / "labels"),
        classes=tuple(f"class {number}" for number in range(_CLASSES)),
        settings=SelectionSettings(min_confidence=0.3, max_per_class=_CAP),
    )
    folder.mkdir()
    result = run_select(spec, StageReporter(spec, entered_at=time.time()))
    print(json.dumps({"kept": result.kept, "copies": result.copies, "low": result.dropped_low_confidence}))


def _write_manifest(shards: int) -> Path:
    path = FOLDER / f"manifest-{shards}.json"
    manifest = DatasetManifest(
        dataset_id="made",
        role="unlabeled",
        format="parquet",
        classes=(),
        rows=shards * _ROWS,
        shards=tuple(Shard(uri=f"made-{shard}", rows=_ROWS) for shard in range(shards)),
    )
    path.write_text(manifest.model_dump_json(), encoding="utf-8")
    return path


def _make_label_files(shards: int) -> None:
    folder = FOLDER / "labels"
    folder.mkdir(parents=True, exist_ok=True)
    popularity = 1 / (np.arange(_CLASSES) + 30.0)
    edges = np.cumsum(popularity / popularity.sum())
    for shard in range(shards):
        path = folder / part_name(shard)
        if not path.exists():
            temporary = path.with_suffix(".tmp")
            pq.write_table(_labels(np.random.default_rng(shard), edges), temporary, **PARQUET_OPTIONS)
            temporary.rename(path)


def _labels(rng: np.random.Generator, edges: np.ndarray) -> pa.Table:
    labels = np.minimum(np.searchsorted(edges, rng.random(_ROWS)), _CLASSES - 1).astype(np.int32)
    excluded = rng.random(_ROWS) < 1e-5
    doubts = np.exp(-rng.gamma(1.0, 3.0, _ROWS)).astype(np.float32)
    hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), _ROWS, [None, pa.py_buffer(rng.bytes(16 * _ROWS))])
    return pa.table({"content_hash": hashes, "label": labels, "doubt": pa.array(doubts, mask=excluded)})


if __name__ == "__main__":
    run_once(int(sys.argv[2]), Path(sys.argv[3])) if sys.argv[1:2] == ["one"] else main()
