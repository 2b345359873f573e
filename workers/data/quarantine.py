"""Finds the broken images of a dataset, and lists them in files beside a stage's results."""

import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from workers.artifact_io import join_uri, list_files, open_filesystem, read_bytes_if_there, write_bytes
from workers.data.errors import BrokenImage
from workers.data.images.decode import decode_rgb
from workers.data.images.plain_jpeg import decode_plain_jpeg, plain_jpeg
from workers.data.shards.shard_readers import iterate_shard
from workers.specs.datasets import DatasetManifest
from workers.specs.hygiene import BrokenKind

_MOST_DECODERS = 8
"""The most decoding threads. Each may hold a large picture."""
_LOOK = (8, 8)
"""The least width and height to which a JPEG is scaled while it is checked. All of its data are read anyway."""
_FOUND_FILE = "broken_images.parquet"
"""The file beside the manifest, written once a stage has checked all images."""
_ROWS_SEEN = b"noisy_student.rows_seen"
_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("kind", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class BrokenRow:
    """One broken image."""

    key: str
    shard: int
    row: int
    """The row within the shard."""
    kind: BrokenKind
    reason: str


def find_broken(manifest: DatasetManifest, alive: Callable[[], None]) -> list[BrokenRow]:
    """Decodes every image of a dataset. `alive` is called now and then. Raises ShardReadError."""
    found: list[BrokenRow] = []
    with ThreadPoolExecutor(min(_MOST_DECODERS, len(os.sched_getaffinity(0)))) as decoders:
        for shard in range(len(manifest.shards)):
            start = 0
            for piece in iterate_shard(manifest, shard):
                for row, broken in enumerate(decoders.map(_broken, piece.images)):
                    error = piece.unreadable.get(row, broken)
                    if error is not None:
                        found.append(BrokenRow(piece.keys[row], shard, start + row, error.kind, error.reason))
                start += len(piece.images)
                alive()
    return found


def found_before(manifest: DatasetManifest, manifest_uri: str) -> list[BrokenRow] | None:
    """The broken images that `keep_found` has written; None if it has not, or not for this number of images."""
    data = read_bytes_if_there(_beside(manifest_uri))
    if data is None:
        return None
    table = pq.read_table(io.BytesIO(data))
    seen = (table.schema.metadata or {}).get(_ROWS_SEEN, b"")
    return _rows(table) if seen == b"%d" % manifest.rows else None


def keep_found(manifest: DatasetManifest, manifest_uri: str, rows: Sequence[BrokenRow]) -> None:
    """Writes the broken images beside the manifest, so that not every training must decode all images again."""
    write_bytes(_beside(manifest_uri), _parquet(rows, {_ROWS_SEEN: b"%d" % manifest.rows}))


def write_quarantine(uri: str, rows: Sequence[BrokenRow]) -> None:
    """Lists broken images in a Parquet file."""
    write_bytes(uri, _parquet(rows, {}))


def kinds_in(folder_uri: str) -> Counter[BrokenKind]:
    """How many images of each kind the files of a quarantine folder list."""
    kinds: Counter[BrokenKind] = Counter()
    for name in list_files(folder_uri):
        filesystem, path = open_filesystem(join_uri(folder_uri, name))
        kinds.update(map(BrokenKind, pq.read_table(path, columns=["kind"], filesystem=filesystem)["kind"].to_pylist()))
    return kinds


def _broken(data: bytes) -> BrokenImage | None:
    jpeg = plain_jpeg(data)
    if jpeg is not None and decode_plain_jpeg(data, jpeg, least=_LOOK) is not None:
        return None
    try:
        decode_rgb(data)
    except BrokenImage as error:
        return error
    return None


def _beside(manifest_uri: str) -> str:
    path, mark, options = manifest_uri.partition("?")
    return f"{path.rpartition('/')[0]}/{_FOUND_FILE}{mark}{options}"


def _parquet(rows: Iterable[BrokenRow], metadata: dict[bytes, bytes]) -> bytes:
    listed = [{"key": r.key, "shard": r.shard, "row": r.row, "kind": r.kind.value, "reason": r.reason} for r in rows]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(listed, schema=_SCHEMA.with_metadata(metadata)), buffer, compression="zstd")
    return buffer.getvalue()


def _rows(table: pa.Table) -> list[BrokenRow]:
    return [BrokenRow(**{**row, "kind": BrokenKind(row["kind"])}) for row in table.to_pylist()]
