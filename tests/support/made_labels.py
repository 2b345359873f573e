"""Label files of a run on a stand-in for Ray: their probabilities are made up, and the select stage on them is real."""

import hashlib
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from workers.artifact_io import join_uri
from workers.data.errors import BrokenImage
from workers.labeling.label_files import HELD_OUT, Hygiene, label_table, write_label_file
from workers.runtime.stage_reporter import StageReporter
from workers.selection.stage import run_select
from workers.specs.hygiene import BrokenKind
from workers.specs.results import SelectResult
from workers.specs.stages import STAGE_SPEC, SelectSpec


def write_labels(
    run_folder: Path, generation: int, images: Path, probabilities: list[list[float]], held_out: int | None = None
) -> None:
    """Labels the only shard of a pool, whose images are in the Parquet file or the folder `images`.

    [0, 0] makes a broken image.
    """
    if images.is_dir():
        pictures = [file.read_bytes() for file in sorted(images.iterdir())]
    else:
        pictures = pq.read_table(images)["image"].to_pylist()
    values = np.array(probabilities, dtype=np.float32)
    broken = {
        row: BrokenImage(BrokenKind.TRUNCATED, "ends") for row in np.flatnonzero(values.sum(axis=1) == 0).tolist()
    }
    hygiene = Hygiene(
        [hashlib.blake2b(picture, digest_size=16).digest() for picture in pictures],
        [HELD_OUT if row == held_out else None for row in range(len(pictures))],
        broken,
        {},
    )
    keys = [f"{images.name}:{row}" for row in range(len(pictures))]
    table, _ = label_table(keys, hygiene, values, top_k=64)
    write_label_file(str(run_folder / f"gen-{generation}" / "label"), 0, table, broken)


def select_again(run_folder: Path, generation: int) -> SelectResult:
    """Runs the select stage as its latest spec says, and returns its result without recording it."""
    folder = run_folder / f"gen-{generation}" / "select"
    specs = sorted((folder / "specs").glob("a*.json"), key=lambda file: int(file.stem[1:]))
    spec = STAGE_SPEC.validate_json(specs[-1].read_bytes())
    assert isinstance(spec, SelectSpec)
    assert spec.folder_uri == join_uri(str(folder))
    return run_select(spec, StageReporter(spec, entered_at=time.time()))
