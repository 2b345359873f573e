"""Splits of two sets of small pictures, written as datasets with manifests: the demo's digits and Fashion-MNIST."""

import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from noisy_student.local.demo.digits import load_digits, split_digits
from workers.specs.datasets import DatasetManifest, DatasetRole, Shard

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts it."""
CLASSES = tuple(str(number) for number in range(10))
_FASHION_LABELED_A_CLASS = 50
_FASHION_UNLABELED, _FASHION_VALIDATION = 40_000, 500
_SHARD_ROWS = 2500


@dataclass(frozen=True)
class Part:
    """Pictures, uint8 (images, 28, 28), and their classes; the classes of unlabeled ones are not written."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def digits(seed: int) -> dict[str, Part]:
    """The demo's split of 5,000 digits: 100 labeled, 3,400 unlabeled, 500 for validation and 1,000 for the test."""
    pixels, labels = load_digits()
    rows = split_digits(labels, seed).by_name()
    return {name: Part(pixels[of], labels[of]) for name, of in rows.items()}


def fashion(seed: int) -> dict[str, Part]:
    """500 labeled, 40,000 unlabeled and 500 validation pictures of the training set, and the official 10,000 for the
    test. The seed draws from the training set only."""
    whole, test = _idx("train"), _idx("t10k")
    order = np.random.default_rng(seed).permutation(len(whole.labels))
    labeled = np.concatenate([order[whole.labels[order] == name][:_FASHION_LABELED_A_CLASS] for name in range(10)])
    rest = order[~np.isin(order, labeled)][: _FASHION_UNLABELED + _FASHION_VALIDATION]
    unlabeled, validation = np.split(rest, [_FASHION_UNLABELED])
    rows = {"labeled": labeled, "unlabeled": unlabeled, "validation": validation}
    return {name: Part(whole.pixels[of], whole.labels[of]) for name, of in rows.items()} | {"test": test}


def write_datasets(folder: Path, parts: dict[str, Part]) -> dict[str, Path]:
    """Writes the parts as Parquet shards, and returns their manifests by name."""
    return {name: _written(folder / name, name, part) for name, part in parts.items()}


def _idx(name: str) -> Part:
    pixels = gzip.decompress((FASHION_FOLDER / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((FASHION_FOLDER / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    return Part(
        np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8).astype(np.int64),
    )


def _written(folder: Path, name: str, part: Part) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    role: DatasetRole = "unlabeled" if name == "unlabeled" else "labeled" if name == "labeled" else "evaluation"
    shards = tuple(_shards(folder, part, with_labels=role != "unlabeled"))
    manifest = DatasetManifest(
        dataset_id=f"ds-{name}",
        role=role,
        format="parquet",
        classes=() if role == "unlabeled" else CLASSES,
        label_column=None if role == "unlabeled" else "label",
        rows=len(part.labels),
        shards=shards,
    )
    place = folder / "manifest.json"
    place.write_text(manifest.model_dump_json(), encoding="utf-8")
    return place


def _shards(folder: Path, part: Part, with_labels: bool) -> Iterator[Shard]:
    for number, start in enumerate(range(0, len(part.labels), _SHARD_ROWS)):
        rows = slice(start, start + _SHARD_ROWS)
        columns = {"image": pa.array([_png(pixels) for pixels in part.pixels[rows]], pa.binary())}
        if with_labels:
            columns["label"] = pa.array([str(label) for label in part.labels[rows]])
        path = folder / f"{number:05d}.parquet"
        pq.write_table(pa.table(columns), path)
        yield Shard(uri=str(path), rows=len(columns["image"]))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
