"""Makes datasets of every format, with what registration finds in them."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.datasets.inspection import DatasetRequest, HashLimit, InspectedDataset, inspect_dataset
from service.errors import InvalidRequest
from tests.support.made_shards import picture
from workers.data.shards.shard_readers import read_shard


def pictures(count: int, start: int = 0) -> list[bytes]:
    return [picture(seed) for seed in range(start, start + count)]


def inspect(
    uri: object,
    role: str = "labeled",
    *,
    hash_limit: HashLimit | None = None,
    held: Sequence[npt.NDArray[np.bytes_]] = (),
    **fields: object,
) -> InspectedDataset:
    request = DatasetRequest.model_validate({"name": "digits", "role": role, "uri": str(uri), **fields})
    return inspect_dataset(request, "ds-1", f"{uri}.parts", hash_limit, held=held)


def refusal(uri: object, role: str = "labeled", **fields: object) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        inspect(uri, role, hash_limit=None, held=(), **fields)
    return caught.value.field, caught.value.message


def write_parquet(path: Path, row_group_size: int = 4, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def labels_read_back(found: InspectedDataset) -> list[str]:
    manifest = found.manifest
    shards = [read_shard(manifest, index) for index in range(len(manifest.shards))]
    return [manifest.classes[label] for shard in shards for label in shard.labels or []]
