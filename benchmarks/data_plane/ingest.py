"""The student's input, compared with a plain torch DataLoader and timm's train loader with the same RandAugment.

JPEG photographs become batches of 64 at 224 pixels, a quarter labeled and the rest pseudo-labeled, with random crop,
flip and RandAugment of two operations, made by two processes. Counting starts after the first eight batches. The
contenders take turns, each in a new Python process. There is no model: the result is what a GPU would wait for.

This project's input reads shards, label files and selections. The rivals hold every encoded picture in memory. The
DataLoader uses this project's decoding and transforms, so the difference is the cost of reading; timm uses its own.
"""

import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.results import row, save
from benchmarks.support.photographs import CLASSES, benchmark_folder, write_photograph_shards
from benchmarks.support.two_cores import hold_to_two_cores
from workers.specs.noise import Noise, RandAugment
from workers.specs.recipe import Recipe

FOLDER = benchmark_folder("ingest")
ROUNDS = 5
_PROCESSES = 2
_BATCH = 64
_LABELED = 16
_WARM_UP, _COUNTED = 8, 40
_SHARDS, _ROWS = 20, 200
_COMMAND = "make benchmark-ingest"
_RECIPE = Recipe(noise=Noise(rand_augment=RandAugment(n=2, m=9)))
_CONTENDERS = ("ours", "dataloader", "timm")


def main() -> None:
    """Measures all rounds, then writes the rows."""
    hold_to_two_cores()
    prepare()
    rounds = [{name: _run(name) for name in _CONTENDERS} for _ in range(ROUNDS)]
    ours = [each["ours"] for each in rounds]
    save(
        [
            row("ingest.images_per_second", ours, "images/s, two processes", "", _COMMAND),
            row(
                "ingest.vs_dataloader",
                [each["ours"] / each["dataloader"] for each in rounds],
                "ratio; goal: 0.95",
                "torch DataLoader, same transforms",
                _COMMAND,
            ),
            row(
                "ingest.vs_timm",
                [each["ours"] / each["timm"] for each in rounds],
                "ratio; goal: above 1",
                "timm's train loader",
                _COMMAND,
            ),
        ]
    )


def _run(contender: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.data_plane.ingest", contender],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore::UserWarning"},
    )
    rate = float(json.loads(done.stdout.splitlines()[-1]))
    print(contender, round(rate), "images/s", flush=True)
    return rate


def prepare() -> None:
    """Makes the photographs, label files and selections that do not exist yet."""
    from workers.labeling.label_files import Hygiene, label_table, write_label_file
    from workers.specs.stages import part_name

    write_photograph_shards(FOLDER / "labeled", _SHARDS, _ROWS, labeled=True)
    write_photograph_shards(FOLDER / "unlabeled", _SHARDS, _ROWS)
    (FOLDER / "select").mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for shard in range(_SHARDS):
        probabilities = rng.dirichlet(np.ones(len(CLASSES)), _ROWS).astype(np.float32)
        hashes = [bytes(16)] * _ROWS
        table, _ = label_table([""] * _ROWS, Hygiene(hashes, [None] * _ROWS, {}, {}), probabilities, top_k=10)
        write_label_file(str(FOLDER / "label"), shard, table, {})
        selected = {"row": np.arange(_ROWS, dtype=np.int32), "copies": np.ones(_ROWS, dtype=np.int32)}
        pq.write_table(pa.table(selected), FOLDER / "select" / part_name(shard))


def student_batches(labeled: int, pseudo_labeled: int, processes: int) -> Iterator[Any]:
    """Yields batches from the train stage's own input, with these numbers of images per step."""
    from workers.data.order.lanes import Layout
    from workers.specs.labeling import PseudoLabels
    from workers.training.input.batches import BatchStream, StreamPart, Worker, batch_loader
    from workers.training.input.noise import TrainingTransform
    from workers.training.input.sources import LabeledSource, PseudoLabeledSource
    from workers.training.input.training_images import PictureReader

    pseudo = PseudoLabels(
        manifest_uri=str(FOLDER / "unlabeled" / "manifest.json"),
        labels_uri=str(FOLDER / "label"),
        selection_uri=str(FOLDER / "select"),
    )
    parts = [
        StreamPart(LabeledSource(str(FOLDER / "labeled" / "manifest.json"), len(CLASSES), 0.1), labeled),
        StreamPart(PseudoLabeledSource(pseudo, len(CLASSES), _RECIPE), pseudo_labeled),
    ]
    make_picture = PictureReader(TrainingTransform(_RECIPE))
    stream = BatchStream(parts, make_picture, 0, Worker(0, 1), Layout(1, max(1, processes)), start_step=0)
    return batch_loader(stream, processes, pin_memory=False)


def _ours() -> Iterator[Any]:
    return student_batches(_LABELED, _BATCH - _LABELED, _PROCESSES)


def _photographs() -> list[bytes]:
    files = [path for name in ("labeled", "unlabeled") for path in sorted((FOLDER / name).glob("*.parquet"))]
    return [image for file in files for image in pq.read_table(file)["image"].to_pylist()]


def _dataloader() -> Iterator[Any]:
    """Yields batches from pictures in memory, encoded and shuffled. Reads no files, labels or selections."""
    from torch.utils.data import DataLoader, Dataset

    from workers.training.input.noise import TrainingTransform
    from workers.training.input.training_images import PictureReader, Sample

    class Photographs(Dataset[Any]):
        def __init__(self) -> None:
            self._images = _photographs()
            self._read = PictureReader(TrainingTransform(_RECIPE))

        def __len__(self) -> int:
            return len(self._images)

        def __getitem__(self, index: int) -> Any:
            draws = random.Random(random.getrandbits(64))
            return np.ascontiguousarray(self._read(Sample(index, self._images[index]), draws)), index % len(CLASSES)

    return iter(DataLoader(Photographs(), _BATCH, shuffle=True, num_workers=_PROCESSES, prefetch_factor=4))


def _timm() -> Iterator[Any]:
    """Yields batches from timm.data.create_loader, called as in its train.py on a CPU. p1.0: all operations apply."""
    from timm.data.dataset import ImageDataset
    from timm.data.loader import create_loader
    from torch.utils.data import Dataset

    class Photographs(Dataset[Any]):
        transform: Any = None

        def __init__(self) -> None:
            self._images = _photographs()

        def __len__(self) -> int:
            return len(self._images)

        def __getitem__(self, index: int) -> Any:
            picture = Image.open(io.BytesIO(self._images[index])).convert("RGB")
            return self.transform(picture), index % len(CLASSES)

    return iter(
        create_loader(
            cast("ImageDataset", Photographs()),  # timm takes any dataset with a `transform`
            input_size=(3, 224, 224),
            batch_size=_BATCH,
            is_training=True,
            use_prefetcher=False,
            no_aug=False,
            auto_augment="rand-m9-n2-p1.0",
            interpolation="bicubic",
            num_workers=_PROCESSES,
            pin_memory=False,
        )
    )


def _rate(batches: Iterator[Any]) -> float:
    for _ in range(_WARM_UP):
        next(batches)
    started_at = time.perf_counter()
    for _ in range(_COUNTED):
        next(batches)
    return _COUNTED * _BATCH / (time.perf_counter() - started_at)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(_rate({"ours": _ours, "dataloader": _dataloader, "timm": _timm}[sys.argv[1]]())))
    else:
        main()
