"""The file of content hashes."""

from pathlib import Path

import numpy as np
import pytest

from workers.data.errors import ShardReadError
from workers.data.hashes import as_hash_array, read_hashes, write_hashes


def test_hashes_come_back_sorted_and_once(tmp_path: Path) -> None:
    uri = str(tmp_path / "hashes.bin")
    first, second = b"\x01" * 16, b"\xff" * 16
    write_hashes(uri, [second, first, second])
    assert np.array_equal(read_hashes(uri), np.array([first, second], dtype="S16"))


def test_hashes_that_hold_zero_bytes_are_told_apart(tmp_path: Path) -> None:
    uri = str(tmp_path / "hashes.bin")
    zeros, ends_in_zero, begins_with_zero = bytes(16), b"\x07" + bytes(15), bytes(15) + b"\x07"
    write_hashes(uri, [ends_in_zero, zeros, begins_with_zero])
    stored = read_hashes(uri)
    assert len(stored) == 3
    asked = np.frombuffer(ends_in_zero + b"\x08" + bytes(15), dtype="S16")
    assert np.isin(asked, stored).tolist() == [True, False]


def test_no_hashes_are_an_empty_array(tmp_path: Path) -> None:
    uri = str(tmp_path / "hashes.bin")
    write_hashes(uri, [])
    assert len(read_hashes(uri)) == 0


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "hashes.bin"
    path.write_bytes(b"x" * 17)
    with pytest.raises(ShardReadError, match=r"hashes\.bin.*17 bytes"):
        read_hashes(str(path))


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        as_hash_array([b"abc"])
