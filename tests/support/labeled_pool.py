"""A pool of real pictures with label files and a selection, for tests of what is made of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from workers.artifact_io import write_bytes
from workers.data.errors import BrokenImage
from workers.data.images.decode import content_hash
from workers.data.marks import Mark, marks_parquet
from workers.labeling.label_files import HELD_OUT, Hygiene, label_table, write_label_file
from workers.leakage.evaluation_index import NearDuplicate
from workers.runtime.stage_reporter import StageReporter
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import BrokenKind
from workers.specs.label_export import LabelSource
from workers.specs.results import SelectResult
from workers.specs.selection import SelectionSettings
from workers.specs.stages import DUPLICATES_FOLDER, ActorPool, SelectSpec

CLASSES = ("cat", "dog", "a/b: owl")
SHARD_ROWS = (12, 0, 30)
BROKEN, HELD, NEAR, EQUAL = (0, 1), (0, 3), (2, 4), (2, 7)
"""Rows, by shard and row, that must never be learned from."""
SETTINGS = SelectionSettings(min_confidence=0.6, max_per_class=6, duplicates="drop", near_duplicates="drop")


def picture(shard: int, row: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(100 * shard + row).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG" if row % 2 else "JPEG")
    return buffer.getvalue()


class LabeledPool:
    """Label files that are written by hand, and the real select stage."""

    def __init__(
        self,
        root: Path,
        as_files: bool = False,
        settings: SelectionSettings = SETTINGS,
        marks: Sequence[tuple[tuple[int, int], int | None, frozenset[int]]] = (),
    ) -> None:
        """`as_files`: the pictures are files of a folder; else rows of Parquet files. `marks`: of rows, the class that
        a person gave, or None and the classes that it is not."""
        self.root = root
        given = [Mark(content_hash(picture(*place)), label, rejected) for place, label, rejected in marks]
        (root / "marks.parquet").write_bytes(marks_parquet(given))
        self._has_marks = bool(marks)
        rng = np.random.default_rng(3)
        self.keys: list[list[str]] = []
        shards = []
        for number, rows in enumerate(SHARD_ROWS):
            images = [picture(number, row) for row in range(rows)]
            if as_files:
                keys = [f"{number}/{row}.{'png' if row % 2 else 'jpg'}" for row in range(rows)]
                for key, image in zip(keys, images, strict=True):
                    (root / "pool" / key).parent.mkdir(parents=True, exist_ok=True)
                    (root / "pool" / key).write_bytes(image)
                shards.append(Shard(uri=str(root / "pool"), rows=rows, members=tuple(keys)))
            else:
                keys = [f"s{number}.parquet:{row}" for row in range(rows)]
                pq.write_table(pa.table({"image": pa.array(images, pa.binary())}), root / f"s{number}.parquet")
                shards.append(Shard(uri=str(root / f"s{number}.parquet"), rows=rows))
            self.keys.append(keys)
            self._write_labels(number, keys, images, rng.dirichlet([0.6, 0.5, 0.4], size=rows))
        manifest = DatasetManifest(
            dataset_id="ds-pool", role="unlabeled", format="image_folder" if as_files else "parquet", classes=(),
            rows=sum(SHARD_ROWS), shards=tuple(shards),
        )  # fmt: skip
        (root / "manifest.json").write_text(manifest.model_dump_json())
        self.result = self._select(settings)

    def source(self) -> LabelSource:
        thresholds = tuple(each.threshold or SETTINGS.min_confidence for each in self.result.classes)
        return LabelSource(
            run_id="run-1", generation=1, teachers=("run-1-g0",), classes=CLASSES, dataset="ds-pool",
            manifest_uri=str(self.root / "manifest.json"), shards=len(SHARD_ROWS), labels_uri=str(self.root / "label"),
            selection_uri=str(self.root / "select"), min_confidences=thresholds, drops_near_duplicates=True,
            drops_duplicates=True,
        )  # fmt: skip

    def selection(self) -> dict[tuple[int, int], int]:
        """The copies of each selected row, as the select stage wrote them."""
        found = {}
        for shard in range(len(SHARD_ROWS)):
            for row in pq.read_table(self.root / "select" / f"part-{shard:05d}.parquet").to_pylist():
                found[shard, row["row"]] = row["copies"]
        return found

    def _write_labels(self, number: int, keys: list[str], images: list[bytes], probabilities: np.ndarray) -> None:
        def here(place: tuple[int, int]) -> list[int]:
            return [place[1]] if place[0] == number else []

        broken = {row: BrokenImage(BrokenKind.TRUNCATED, "it ends too early") for row in here(BROKEN)}
        excluded = [HELD_OUT if row in here(HELD) else None for row in range(len(keys))]
        near = [NearDuplicate(row=row, distance=1, evaluation_dataset="e", evaluation_key="k") for row in here(NEAR)]
        hygiene = Hygiene([content_hash(each) for each in images], excluded, broken, {}, near)
        values = probabilities.astype(np.float32).reshape(len(keys), len(CLASSES))
        values[[*here(HELD), *here(NEAR), *here(EQUAL)]] = [0.98, 0.01, 0.01]
        table, _ = label_table(keys, hygiene, values, top_k=3)
        write_label_file(str(self.root / "label"), number, table, broken, near)
        for row in here(EQUAL):
            buffer = pa.BufferOutputStream()
            pq.write_table(pa.table({"row": pa.array([row], pa.int32())}), buffer)
            folder = self.root / "label" / DUPLICATES_FOLDER
            write_bytes(str(folder / f"part-{number:05d}.parquet"), buffer.getvalue().to_pybytes())

    def _select(self, settings: SelectionSettings) -> SelectResult:
        spec = SelectSpec(
            run_id="run-1", generation=1, attempt=1, folder_uri=str(self.root / "select"), seed=0,
            manifest_uri=str(self.root / "manifest.json"), labels_uri=str(self.root / "label"), classes=CLASSES,
            settings=settings, pool=ActorPool(),
            marks_uri=str(self.root / "marks.parquet") if self._has_marks else None,
        )  # fmt: skip
        (self.root / "select").mkdir()
        return run_select(spec, StageReporter(spec, entered_at=0.0))
