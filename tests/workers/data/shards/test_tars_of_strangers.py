"""Tar files by GNU tar and others: sparse files, concatenated archives, labels in JSON."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.made_datasets import inspect, labels_read_back, refusal
from tests.support.made_datasets import write_tar as write
from tests.support.made_shards import PICTURES, picture
from workers.data.shards.shard_readers import read_shard
from workers.specs.hygiene import BrokenKind


def gnu_tar(folder: Path, name: str, *options: str) -> Path:
    """A tar file of the contents of `folder`, written by the program tar."""
    path = folder.parent / name
    members = sorted(each.name for each in folder.iterdir())
    subprocess.run(["tar", "-cf", path, *options, "-C", folder, *members], check=True, capture_output=True, timeout=60)
    return path


def with_a_hole(path: Path, data: bytes) -> bytes:
    """Writes an image followed by a hole of one MiB, which takes no space on the disk."""
    path.write_bytes(data)
    os.truncate(path, 1 << 20)
    with path.open("ab") as file:
        file.write(b"end")
    return data + bytes((1 << 20) - len(data)) + b"end"


@pytest.mark.parametrize("options", [(), ("--format=posix",), ("--format=posix", "--sparse-version=0.1")])
def test_a_file_with_holes_is_read_whole(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    whole = with_a_hole(folder / "0.png", PICTURES[0])
    (folder / "1.png").write_bytes(PICTURES[1])
    path = gnu_tar(folder, "s.tar", "--sparse", *options)
    assert path.stat().st_size < 1 << 19
    found = inspect(path, "unlabeled")
    assert (found.manifest.rows, found.sampled_bad) == (2, 0)
    assert read_shard(found.manifest, 0).images == [whole, PICTURES[1]]


def test_a_hole_larger_than_any_picture_is_a_broken_image(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    with_a_hole(folder / "0.jpg", PICTURES[0])
    os.truncate(folder / "0.jpg", 3 << 30)
    for row in (1, 2):
        (folder / f"{row}.png").write_bytes(PICTURES[row])
    found = inspect(gnu_tar(folder, "s.tar", "--sparse"), "unlabeled")
    assert found.sampled_bad == 1
    read = read_shard(found.manifest, 0)
    assert read.images == [b"", *PICTURES[1:]]
    assert read.unreadable[0].kind is BrokenKind.TOO_LARGE


@pytest.mark.parametrize("padding", [0, 512, 10_240, 1 << 20])
def test_tar_files_one_behind_the_other_are_one(tmp_path: Path, padding: int) -> None:
    parts = [write(tmp_path / f"{n}.part", [(f"{n}{m}.png", picture(m)) for m in range(2)]) for n in range(3)]
    path = tmp_path / "s.tar"
    path.write_bytes(bytes(padding).join(part.read_bytes() for part in parts) + bytes(padding))
    found = inspect(path, "unlabeled")
    assert found.manifest.rows == 6
    assert read_shard(found.manifest, 0).images == [picture(0), picture(1)] * 3


def test_what_follows_an_end_mark_and_is_no_tar_file_is_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tar", [("0.png", PICTURES[0])])
    path.write_bytes(path.read_bytes() + b"x" * 512)
    assert "damaged: no valid header at byte" in refusal(path, "unlabeled")[1]
    broken = write(tmp_path / "t.tar", [("0.png", PICTURES[0])])
    broken.write_bytes(broken.read_bytes() * 2)
    broken.write_bytes(broken.read_bytes()[: 10_240 + 700])
    assert "t.tar: not a readable tar file" in refusal(broken, "unlabeled")[1]


def test_a_link_into_the_next_tar_file_is_found(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.part", "w") as tar:
        info = tarfile.TarInfo("0.png")
        info.type, info.linkname = tarfile.SYMTYPE, "1.png"
        tar.addfile(info)
    write(tmp_path / "b.part", [("1.png", PICTURES[1])])
    (tmp_path / "s.tar").write_bytes((tmp_path / "a.part").read_bytes() + (tmp_path / "b.part").read_bytes())
    assert read_shard(inspect(tmp_path / "s.tar", "unlabeled").manifest, 0).images == [PICTURES[1]] * 2


@pytest.mark.parametrize(("program", "name"), [("gzip", "gzip"), ("bzip2", "bzip2"), ("xz", "xz")])
def test_a_compressed_tar_file_is_named_as_such_whatever_its_name(tmp_path: Path, program: str, name: str) -> None:
    path = write(tmp_path / "s", [("0.png", PICTURES[0])])
    packed = subprocess.run([program, "-c", path], check=True, capture_output=True, timeout=60).stdout
    (tmp_path / "s.tar").write_bytes(packed)
    assert refusal(tmp_path / "s.tar", "unlabeled")[1].endswith(
        f"s.tar: it is compressed ({name}), and cannot be read from its middle: unpack it first"
    )


def samples(*labels: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    return [
        each
        for row, (kind, label) in enumerate(labels)
        for each in ((f"{row}.png", picture(row)), (f"{row}.{kind}", label))
    ]


def test_labels_may_be_json_or_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    fields = json.dumps({"width": 3, "label": "cat"}).encode()
    members = samples(("json", fields), ("cls", b"\xef\xbb\xbfcat\n"), ("json", b"\xef\xbb\xbf" + b'{"cls": 7}'))
    found = inspect(write(tmp_path / "s.tar", members))
    assert found.class_counts == {"7": 1, "cat": 2}
    assert labels_read_back(found) == ["cat", "cat", "7"]


def test_a_cls_file_counts_before_json(tmp_path: Path) -> None:
    members = [("0.json", b'{"label": {"id": 1}}'), ("0.png", picture(0)), ("0.cls", b"cat"), *samples(("cls", b"x"))]
    members[3:] = [(f"1{name[1:]}", data) for name, data in members[3:]]
    assert labels_read_back(inspect(write(tmp_path / "s.tar", members))) == ["cat", "x"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"label": {"secret": 1}}', "the label of 1 in its .json is an object, it must be a text or a whole number"),
        (b'{"label": [1]}', "is a list"),
        (b'{"label": 1.5}', "is a number with a fraction"),
        (b'{"label": true}', "is true or false"),
        (b"secret", "is in a file that is no JSON"),
        (b'{"caption": "secret"}', "row 1 (1): has no label: no .cls, and no .json with a field `label`"),
        (b'{"label": "\\u001b[31msecret"}', "row 1 (1): its label has a control character (U+001B)"),
        (b'{"label": "\\ud800"}', "row 1 (1): its label has a lone surrogate"),
    ],
)
def test_a_label_in_json_that_is_none_is_refused_by_its_sample(tmp_path: Path, content: bytes, words: str) -> None:
    _, message = refusal(write(tmp_path / "s.tar", samples(("cls", b"cat"), ("json", content))))
    assert "s.tar" in message
    assert words in message
    assert "secret" not in message


def test_a_label_as_large_as_a_film_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tar", samples(("cls", b"x" * (1 << 20))))
    assert "0.cls: a label of more than" in refusal(path)[1]
    large = json.dumps({"note": "x" * (1 << 20)}).encode()
    members = [*samples(("cls", b"a")), ("0.json", large), ("1.png", picture(1)), ("1.cls", b"b")]
    assert inspect(write(tmp_path / "t.tar", members)).class_counts == {"a": 1, "b": 1}
    message = refusal(write(tmp_path / "u.tar", samples(("cls", b"a"), ("json", large))))[1]
    assert "u.tar: 1 has no .cls, and a .json of more than" in message


def test_pictures_without_a_known_suffix_are_samples_and_others_are_counted(tmp_path: Path) -> None:
    members = [
        *(("a/1", picture(1)), ("a/1.cls", b"cat")),
        *(("a/2.v1", picture(2)), ("a/2.v2", picture(3)), ("a/2.cls", b"dog")),
        *(("a/3.mp4", b"film"), ("a/3.cls", b"dog"), ("a/4.jfif", picture(4)), ("a/4.cls", b"cat")),
        *(("a/5.odd", b"no picture"), ("a/5.cls", b"dog")),
    ]
    found = inspect(write(tmp_path / "s.tar", members))
    assert read_shard(found.manifest, 0).keys == ["a/1", "a/2.v1", "a/2.v2", "a/4"]
    assert labels_read_back(found) == ["cat", "dog", "dog", "cat"]
    assert found.warnings == ("2 sample(s) have no image that is read; of their members are 1 of .mp4, 1 of .odd",)


@pytest.mark.parametrize("name", ["a\x1b[2J.png", "\x9b.png", "a\u202e.png", "a\nb.png"])
def test_a_name_in_a_tar_file_that_a_terminal_would_obey_is_refused(tmp_path: Path, name: str) -> None:
    _, message = refusal(write(tmp_path / "s.tar", [("0.png", picture(0)), (name, picture(1))]), "unlabeled")
    assert "s.tar row 1 (" in message
    assert message.isprintable()


def test_a_rar_archive_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(b"Rar!\x1a\x07\x01\0" + bytes(600))
    assert "s.tar: it is compressed (rar)" in refusal(tmp_path / "s.tar", "unlabeled")[1]
