"""Makes datasets of tiny pictures, any two of which look different."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import FingerprintedImages

_SIDE = 8


def tiny_picture(number: int) -> bytes:
    """The `number`-th picture: 8 x 8 random pixels, which no other number has."""
    pixels = np.random.default_rng(number).integers(0, 240, (_SIDE, _SIDE, 3), dtype=np.uint8)
    return b"P6 8 8 255\n" + pixels.tobytes()


def encoded_again(picture: bytes) -> bytes:
    """The same picture, a little brighter, as a PNG."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture)).point(lambda value: value + 10).save(stream, "PNG")
    return stream.getvalue()


def made_set(root: Path, name: str, shards: Sequence[Sequence[bytes | None]]) -> FingerprintedImages:
    """Writes a dataset of one Parquet file for each shard."""
    folder = root / name
    folder.mkdir()
    for number, images in enumerate(shards):
        pq.write_table(pa.table({"image": pa.array(images, pa.binary())}), folder / f"{number}.parquet")
    manifest = DatasetManifest(
        dataset_id=name,
        role="unlabeled",
        format="parquet",
        classes=(),
        rows=sum(map(len, shards)),
        shards=tuple(Shard(uri=str(folder / f"{n}.parquet"), rows=len(images)) for n, images in enumerate(shards)),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return FingerprintedImages(
        manifest_uri=str(folder / "manifest.json"), fingerprints_uri=str(folder / "fingerprints.parquet")
    )
