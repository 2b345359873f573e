"""What a WebDataset tar shard yields."""

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.made_shards import PICTURES, manifest, write_tar
from workers.data.shards.shard_readers import ShardReadError, read_shard
from workers.specs.datasets import Shard


def test_webdataset_groups_members_by_key(tmp_path: Path) -> None:
    members = [
        ("./a/0.JPG", PICTURES[0]),
        ("./a/0.cls", b"dog\n"),
        ("a/0.json", b"{}"),
        ("a/notes.txt", b"no image"),
        ("b/0.cls", b"cat"),
        ("b/0.seg.png", b"a mask"),
        ("b/0.png", PICTURES[1]),
        (".hidden.png", b"x"),
        ("b/1.webp", PICTURES[2]),
        ("b/1.cls", b"cat"),
    ]
    read = read_shard(manifest("webdataset", write_tar(tmp_path / "s.tar", members, rows=3)), 0)
    assert (read.keys, read.images, read.labels) == (["a/0", "b/0", "b/1"], PICTURES, [1, 0, 0])


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "webp", "bmp", "gif", "tif", "TIFF"])
def test_webdataset_takes_every_format_that_is_decoded(tmp_path: Path, suffix: str) -> None:
    shard = write_tar(tmp_path / "s.tar", [(f"0.{suffix}", PICTURES[0])], rows=1)
    assert read_shard(manifest("webdataset", shard, role="unlabeled", classes=()), 0).images == PICTURES[:1]


def test_webdataset_images_with_a_dot_in_their_name_are_samples_unless_they_belong_to_one(tmp_path: Path) -> None:
    members = [
        ("photo.V1.jpg", PICTURES[0]),
        ("photo.V1.cls", b"dog"),
        ("photo.v2.jpg", PICTURES[1]),
        ("photo.cls", b"cat"),
        ("street.depth.png", b"no picture of the scene"),
        ("street.jpg", PICTURES[2]),
        ("street.mask.png", b"neither"),
        ("street.cls", b"dog"),
    ]
    read = read_shard(manifest("webdataset", write_tar(tmp_path / "s.tar", members, rows=3)), 0)
    assert (read.keys, read.images, read.labels) == (["photo.V1", "photo.v2", "street"], PICTURES, [1, 0, 1])


def test_webdataset_links_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, kind, target in (
            ("./a/0.png", tarfile.REGTYPE, ""),
            ("./a/1.png", tarfile.LNKTYPE, "./a/0.png"),
            ("b/2.png", tarfile.SYMTYPE, "../a/0.png"),
            ("b/3.png", tarfile.LNKTYPE, "gone.png"),
            ("b/4.png", tarfile.SYMTYPE, "/etc/passwd"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = len(PICTURES[0]) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(PICTURES[0]))
    shard = Shard(uri=str(tmp_path / "s.tar"), rows=5)
    read = read_shard(manifest("webdataset", shard, role="unlabeled", classes=()), 0)
    assert read.keys == ["a/0", "a/1", "b/2", "b/3", "b/4"]
    assert read.images == [PICTURES[0]] * 3 + [b""] * 2


def test_webdataset_with_integer_labels(tmp_path: Path) -> None:
    members = [("0.png", PICTURES[0]), ("0.cls", b"11"), ("1.png", PICTURES[1]), ("1.cls", b"2")]
    shard = write_tar(tmp_path / "s.tar", members, rows=2)
    assert read_shard(manifest("webdataset", shard, classes=("2", "11")), 0).labels == [1, 0]


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_tar_that_breaks_off_between_two_members_is_truncated(tmp_path: Path, blocks: int) -> None:
    shard = write_tar(tmp_path / "s.tar", [("0.png", PICTURES[0]), ("1.png", PICTURES[1])], rows=2)
    path = Path(shard.uri)
    path.write_bytes(path.read_bytes()[: 512 * blocks])
    with pytest.raises(ShardReadError, match=r"s\.tar"):
        read_shard(manifest("webdataset", shard, role="unlabeled", classes=()), 0)


LATIN = b"caf\xe9"


def test_a_key_that_is_not_utf8_is_readable_and_can_be_written(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as tar:
        for name, content in (("caf\xe9.png", PICTURES[0]), ("caf\xe9.cls", LATIN)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    shard = Shard(uri=str(tmp_path / "s.tar"), rows=1)
    read = read_shard(manifest("webdataset", shard, classes=("caf\\xe9",)), 0)
    assert (read.keys, read.images, read.labels) == (["caf\\xe9"], PICTURES[:1], [0])
    assert pa.array(read.keys).to_pylist() == read.keys
