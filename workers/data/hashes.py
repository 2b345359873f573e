"""A dataset's files of content hashes (16 bytes each, sorted, without repeats) and of the row that has each hash."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from workers.artifact_io import read_bytes, read_bytes_if_there, write_bytes
from workers.data.errors import ShardReadError

HASHES_FILE = "hashes.bin"
"""The name of the file of hashes, beside manifest.json."""

HASH_BYTES = 16


def write_hashes(uri: str, hashes: Iterable[bytes]) -> None:
    """Writes the file at `uri`, whole or not at all. Every hash is 16 bytes (`images.content_hash`)."""
    write_bytes(uri, as_hash_array(hashes).tobytes())


def read_hashes(uri: str) -> npt.NDArray[np.bytes_]:
    """The hashes as a sorted array of dtype S16, ready for np.isin and np.searchsorted.

    A single element loses its trailing zero bytes in numpy. Whole arrays compare correctly.
    """
    data = read_bytes(uri)
    if len(data) % HASH_BYTES:
        raise ShardReadError(uri, f"{len(data)} bytes is not a multiple of {HASH_BYTES}: the file is damaged")
    return np.frombuffer(data, dtype=f"S{HASH_BYTES}")


def write_hash_rows(uri: str, by_row: Sequence[bytes | None]) -> None:
    """Writes the first row of each hash, in the order of the file of hashes. `by_row` has each row's hash or None."""
    rows = np.array([row for row, value in enumerate(by_row) if value is not None], dtype="<u4")
    values = np.frombuffer(b"".join(value for value in by_row if value is not None), dtype=f"S{HASH_BYTES}")
    write_bytes(uri, rows[np.unique(values, return_index=True)[1]].tobytes())


def read_hash_rows(uri: str) -> npt.NDArray[np.uint32] | None:
    """The first row of each hash; None if the dataset was registered before rows were kept."""
    data = read_bytes_if_there(uri)
    return None if data is None else np.frombuffer(data, dtype="<u4")


def as_hash_array(hashes: Iterable[bytes]) -> npt.NDArray[np.bytes_]:
    """A sorted array of dtype S16 without repeats."""
    listed = list(hashes)
    for value in listed:
        if len(value) != HASH_BYTES:
            raise ValueError(f"a content hash has {HASH_BYTES} bytes, not {len(value)}")
    return np.unique(np.frombuffer(b"".join(listed), dtype=f"S{HASH_BYTES}"))
