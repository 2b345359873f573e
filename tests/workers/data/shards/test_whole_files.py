"""Files with one picture each: only regular files are opened, none is too large, few bytes are held at a time."""

import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.data.budgets import MOST_IMAGE_BYTES, PIECE_BYTES
from workers.data.errors import ShardReadError
from workers.data.shards import uri_lists
from workers.data.shards.shard_readers import iterate_shard, read_shard
from workers.data.shards.uri_lists import ListEntry, write_part
from workers.data.shards.whole_files import pieces_within
from workers.specs.datasets import DatasetFormat, DatasetManifest, Shard
from workers.specs.hygiene import BrokenKind

MIB = 1 << 20


def sparse(file: Path, size: int) -> str:
    """A sparse file, which takes no space on the disk."""
    with file.open("wb") as stream:
        stream.truncate(size)
    return str(file)


def manifest(dataset_format: DatasetFormat, shard: Shard) -> DatasetManifest:
    return DatasetManifest(
        dataset_id="d", role="unlabeled", format=dataset_format, classes=(), rows=shard.rows, shards=(shard,)
    )


@pytest.fixture
def specials(tmp_path: Path) -> Iterator[list[str]]:
    """A pipe without a writer, a socket, an endless device and a folder."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s.png"))
    yield ["pipe.png", "folder.png", "zero.png", "s.png"]
    listening.close()


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([], []),
        ([1, 2, 3], [[0, 1], [2]]),
        ([9, 1, 1, 1, 9], [[0], [1, 2, 3], [4]]),
        ([0, 0, 0, 3, 0, 1], [[0, 1, 2, 3, 4], [5]]),
        ([3, 3], [[0], [1]]),
    ],
)
def test_neighbours_stand_together_within_the_budget(sizes: list[int], pieces: list[list[int]]) -> None:
    assert [list(piece) for piece in pieces_within(sizes, 3)] == pieces


def test_only_regular_files_of_a_list_are_opened(tmp_path: Path, specials: list[str]) -> None:
    fetched = uri_lists.fetch([str(tmp_path / name) for name in specials])
    assert fetched.images == [b""] * 4
    assert {place: error.kind for place, error in fetched.unreadable.items()} == dict.fromkeys(
        range(4), BrokenKind.UNREADABLE
    )


def test_only_regular_files_of_a_folder_are_opened(tmp_path: Path, specials: list[str]) -> None:
    shard = read_shard(manifest("image_folder", Shard(uri=str(tmp_path), rows=4, members=tuple(specials))), 0)
    assert (shard.images, set(shard.unreadable)) == ([b""] * 4, {0, 1, 2, 3})


@pytest.mark.parametrize("dataset_format", ["parquet", "webdataset"])
def test_a_shard_that_has_become_no_regular_file_is_not_opened(
    tmp_path: Path, specials: list[str], dataset_format: DatasetFormat
) -> None:
    for name in specials:
        with pytest.raises(ShardReadError, match=r"folder|pipe"):
            read_shard(manifest(dataset_format, Shard(uri=str(tmp_path / name), rows=1)), 0)


@pytest.mark.parametrize("dataset_format", ["image_folder", "uri_list"])
def test_a_file_larger_than_any_picture_is_a_broken_image_and_not_read(
    tmp_path: Path, dataset_format: DatasetFormat
) -> None:
    sparse(tmp_path / "huge.jpg", 3 << 30)
    (tmp_path / "small.jpg").write_bytes(b"x")
    names = ("huge.jpg", "small.jpg")
    if dataset_format == "uri_list":
        part = str(tmp_path / "part.parquet")
        write_part(part, [ListEntry(name, str(tmp_path / name), None) for name in names])
        shard = Shard(uri=part, rows=2)
    else:
        shard = Shard(uri=str(tmp_path), rows=2, members=names)
    read = read_shard(manifest(dataset_format, shard), 0)
    assert read.images == [b"", b"x"]
    assert read.unreadable[0].kind is BrokenKind.TOO_LARGE
    assert str(MOST_IMAGE_BYTES) in str(read.unreadable[0])


@pytest.mark.parametrize("dataset_format", ["image_folder", "uri_list"])
def test_large_files_come_few_at_a_time(tmp_path: Path, dataset_format: DatasetFormat) -> None:
    names = tuple(f"{number}.jpg" for number in range(6))
    for name in names:
        sparse(tmp_path / name, 30 * MIB)
    if dataset_format == "uri_list":
        part = str(tmp_path / "part.parquet")
        write_part(part, [ListEntry(name, str(tmp_path / name), None) for name in names])
        shard = Shard(uri=part, rows=6)
    else:
        shard = Shard(uri=str(tmp_path), rows=6, members=names)
    pieces = [sum(map(len, piece.images)) for piece in iterate_shard(manifest(dataset_format, shard), 0)]
    assert pieces == [60 * MIB] * 3
    assert max(pieces) <= PIECE_BYTES


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_tar_header_that_says_to_be_large_is_not_read(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 3 << 30
    file = tmp_path / "a.tar"
    file.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    sparse_end = 512 + (3 << 30) + 1024
    with file.open("r+b") as stream:
        stream.truncate(sparse_end)
    with pytest.raises(ShardReadError, match="a header of"):
        read_shard(manifest("webdataset", Shard(uri=str(file), rows=1)), 0)
