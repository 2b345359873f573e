"""A pool whose soft labels are written to label files by hand, column by column, and the select stage on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from workers.data.marks import Mark, marks_parquet
from workers.runtime.stage_reporter import StageReporter
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import PseudoLabels
from workers.specs.results import SelectResult
from workers.specs.review import MARKS_FILE, EarlierLabels
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec

Distributions = npt.NDArray[np.float64]
"""(rows, classes)"""
Place = tuple[int, int]
"""A shard and a row of it."""


@dataclass
class SoftPool:
    """A pool of images that are only their own names, with a distribution over classes for each."""

    root: Path
    shards: Sequence[Distributions]
    listed: int
    """How many classes a row lists; the others share what remains."""
    broken: frozenset[Place] = frozenset()
    excluded: frozenset[Place] = frozenset()
    labeled: Mapping[str, int] = field(default_factory=dict)
    """How many labeled images of each class there are."""

    def __post_init__(self) -> None:
        for folder in ("pool", "labels", "labeled"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for number, rows in enumerate(self.shards):
            images = pa.array([f"{number}/{row}".encode() for row in range(len(rows))], pa.binary())
            pq.write_table(pa.table({"image": images}), self.root / "pool" / f"{number}.parquet")
            pq.write_table(self._labels(number, rows), self.root / "labels" / f"part-{number:05d}.parquet")
        names = [name for name, images in self.labeled.items() for _ in range(images)]
        table = pa.table({"image": pa.array([b""] * len(names), pa.binary()), "label": pa.array(names, pa.string())})
        pq.write_table(table, self.root / "labeled" / "0.parquet")
        rows_of_shards = [len(rows) for rows in self.shards]
        self._write_manifest("pool", (), rows_of_shards)
        # Another order than that of the run's classes.
        self._write_manifest("labeled", tuple(sorted(self.labeled, reverse=True)), [len(names)])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(f"c{index:04d}" for index in range(self.shards[0].shape[1]))

    def hash_of(self, place: Place) -> bytes:
        shard, row = place
        return f"{shard:08d}{row:08d}".encode()

    def select(
        self,
        settings: SelectionSettings,
        folder: str = "select",
        marks: Sequence[Mark] | None = None,
        earlier: EarlierLabels | None = None,
    ) -> SelectResult:
        (self.root / folder).mkdir(exist_ok=True)
        if marks is not None:
            (self.root / folder / MARKS_FILE).write_bytes(marks_parquet(marks))
        spec = SelectSpec(
            run_id="r",
            generation=1,
            attempt=1,
            folder_uri=str(self.root / folder),
            seed=4,
            manifest_uri=str(self.root / "pool.json"),
            labels_uri=str(self.root / "labels"),
            classes=self.classes,
            settings=settings,
            labeled_manifest_uri=str(self.root / "labeled.json"),
            earlier=earlier,
            marks_uri=None if marks is None else str(self.root / folder / MARKS_FILE),
        )
        return run_select(spec, StageReporter(spec, entered_at=0.0))

    def selected(self, folder: str = "select") -> set[Place]:
        return {
            (number, row)
            for number in range(len(self.shards))
            for row in pq.read_table(self.root / folder / f"part-{number:05d}.parquet")["row"].to_pylist()
        }

    def pseudo_labels(self, folder: str = "select") -> PseudoLabels:
        return PseudoLabels(
            manifest_uri=str(self.root / "pool.json"),
            labels_uri=str(self.root / "labels"),
            selection_uri=str(self.root / folder),
        )

    def files(self, folder: str = "select") -> dict[str, bytes]:
        """Everything in a folder but the reports about how it was made."""
        found = [file for file in (self.root / folder).rglob("*") if file.is_file() and file.name != "progress.json"]
        return {str(file.relative_to(self.root / folder)): file.read_bytes() for file in found}

    def as_stored(self) -> list[Distributions]:
        """The distributions that the label files hold, all classes of each row, computed in plain loops."""
        return [np.array([self._row_as_stored(row) for row in rows]).reshape(rows.shape) for rows in self.shards]

    def usable(self) -> list[Place]:
        places = [(number, row) for number, rows in enumerate(self.shards) for row in range(len(rows))]
        return [place for place in places if place not in self.broken and place not in self.excluded]

    def _row_as_stored(self, row: npt.NDArray[np.float64]) -> list[float]:
        best = np.argsort(-row, kind="stable")[: self.listed].tolist()
        kept = {index: float(np.float16(row[index])) for index in best}
        others = len(row) - len(kept)
        left = max(0.0, 1 - sum(kept.values())) / others if others else 0.0
        whole = [kept.get(index, left) for index in range(len(row))]
        return [each / sum(whole) for each in whole]

    def _labels(self, number: int, rows: Distributions) -> pa.Table:
        best = np.argsort(-rows, axis=1, kind="stable")[:, : self.listed]
        values = np.take_along_axis(rows, best, axis=1)
        is_broken = np.array([(number, row) in self.broken for row in range(len(rows))], dtype=bool)
        is_excluded = np.array([(number, row) in self.excluded for row in range(len(rows))], dtype=bool)
        values[is_broken], best[is_broken] = 0, 0
        hashes = [self.hash_of((number, row)) for row in range(len(rows))]
        return pa.table(
            {
                "content_hash": pa.array(hashes, pa.binary(16)),
                "label": pa.array(best[:, 0].astype(np.int32), mask=is_broken),
                "doubt": pa.array((1 - values[:, 0]).astype(np.float32), mask=is_broken | is_excluded),
                "top_classes": _lists(best.astype(np.int32)),
                "top_probabilities": _lists(values.astype(np.float16)),
            }
        )

    def _write_manifest(self, name: str, classes: tuple[str, ...], rows: list[int]) -> None:
        manifest = DatasetManifest(
            dataset_id=name,
            role="labeled" if classes else "unlabeled",
            format="parquet",
            classes=classes,
            label_column="label" if classes else None,
            rows=sum(rows),
            shards=tuple(
                Shard(uri=str(self.root / name / f"{number}.parquet"), rows=count) for number, count in enumerate(rows)
            ),
        )
        (self.root / f"{name}.json").write_text(manifest.model_dump_json())


def peaked(confidence: float, label: int, classes: int) -> npt.NDArray[np.float64]:
    """A distribution with this confidence in one class; the others share what remains."""
    row = np.full(classes, (1 - confidence) / (classes - 1))
    row[label] = confidence
    return row


def _lists(values: npt.NDArray[np.generic]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
