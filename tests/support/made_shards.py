"""Makes shards of every format from the same three pictures, with their manifest."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from workers.specs.datasets import DatasetManifest, Shard


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


PICTURES = [picture(seed) for seed in range(3)]


def manifest(dataset_format: str, *shards: Shard, **changes: object) -> DatasetManifest:
    values = {
        "dataset_id": "d",
        "role": "labeled",
        "format": dataset_format,
        "classes": ("cat", "dog"),
        "label_column": "label" if dataset_format == "parquet" else None,
        "rows": sum(shard.rows for shard in shards),
        "shards": shards,
    }
    return DatasetManifest.model_validate({**values, **changes})


def write_parquet(path: Path, **columns: object) -> Shard:
    table = pa.table(columns)
    pq.write_table(table, path, row_group_size=2)
    return Shard(uri=str(path), rows=table.num_rows)


def write_tar(path: Path, members: list[tuple[str, bytes]], rows: int) -> Shard:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return Shard(uri=str(path), rows=rows)
