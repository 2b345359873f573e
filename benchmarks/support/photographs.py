"""JPEG photographs: crops of scikit-learn's two at 500 x 375 pixels, ImageNet's average size, or your own.

IMAGES=FOLDER uses the first JPEG files of a folder as they are.
"""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from sklearn.datasets import load_sample_images

from workers.specs.datasets import DatasetManifest, Shard

_DISTINCT = 200
_IMAGES = os.environ.get("IMAGES")
CLASSES = tuple(f"class {number}" for number in range(10))


def write_photograph_shards(folder: Path, shards: int, rows: int, labeled: bool = False) -> Path:
    """Writes Parquet shards with columns `image` and `label`, unless they exist. Returns the path of their manifest."""
    manifest_path = folder / "manifest.json"
    if manifest_path.exists():
        return manifest_path
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    most = min(_DISTINCT, shards * rows)
    distinct = photographs(rng, most)
    for shard in range(shards):
        chosen = [distinct[number] for number in rng.integers(0, len(distinct), rows)]
        labels = [CLASSES[number] for number in rng.integers(0, len(CLASSES), rows)]
        table = pa.table({"image": chosen, "label": labels})
        pq.write_table(table, folder / f"shard-{shard:04d}.parquet", compression="none")
    manifest = DatasetManifest(
        dataset_id="photographs",
        role="labeled" if labeled else "unlabeled",
        format="parquet",
        classes=CLASSES if labeled else (),
        label_column="label" if labeled else None,
        rows=shards * rows,
        shards=tuple(Shard(uri=str((folder / f"shard-{n:04d}.parquet").resolve()), rows=rows) for n in range(shards)),
    )
    manifest_path.write_text(manifest.model_dump_json(), encoding="utf-8")
    return manifest_path


def photographs(rng: np.random.Generator, most: int) -> list[bytes]:
    """Up to `most` different photographs, as JPEG files."""
    return _files(Path(_IMAGES), most) if _IMAGES else [_photograph(rng) for _ in range(most)]


def benchmark_folder(name: str) -> Path:
    """The folder in which a benchmark keeps its files. With IMAGES it is a separate one."""
    other = f"-{hashlib.sha256(_IMAGES.encode()).hexdigest()[:8]}" if _IMAGES else ""
    return Path("build") / f"benchmark-{name}{other}"


def _files(folder: Path, most: int) -> list[bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not paths:
        raise SystemExit(f"IMAGES: there are no JPEG files in {folder}")
    return [path.read_bytes() for path in paths[:most]]


def _photograph(rng: np.random.Generator) -> bytes:
    picture = Image.fromarray(load_sample_images().images[int(rng.integers(2))])
    width = int(rng.integers(300, picture.width))
    height = min(int(width * rng.uniform(0.6, 0.8)), picture.height)
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    buffer = io.BytesIO()
    picture.crop((left, top, left + width, top + height)).resize((500, 375), Image.Resampling.BICUBIC).save(
        buffer, "JPEG", quality=90
    )
    return buffer.getvalue()
