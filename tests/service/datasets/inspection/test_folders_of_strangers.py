"""Folders as people and programs leave them: odd names, leftovers, links, splits."""

import io
import os
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tests.support.made_datasets import (
    inspect,
    labels_read_back,
    pictures,
    refusal,
    write_files,
    write_parquet,
    write_tar,
)
from tests.support.made_shards import picture
from workers.data.shards.shard_readers import read_shard
from workers.specs.hygiene import BrokenKind

pillow_heif.register_heif_opener()


def encoded(pillow_format: str, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture(0))).convert(mode).save(stream, pillow_format)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("0.jfif", encoded("JPEG")),
        ("0.JPE", encoded("JPEG")),
        ("0.avif", encoded("AVIF")),
        ("0.ppm", encoded("PPM")),
        ("0.pgm", encoded("PPM", "L")),
        ("0.jp2", encoded("JPEG2000")),
        ("0.HEIC", encoded("HEIF")),
        ("heic", encoded("HEIF")),
        ("0", encoded("JPEG")),
        ("n0144.10026", encoded("PNG")),
        ("0.image", encoded("WEBP")),
        ("0.bin", encoded("PNG")),
        ("0.jpg?size=large", encoded("GIF")),
        ("1", encoded("PPM")),
        ("2", encoded("AVIF")),
        ("3", encoded("JPEG2000")),
        ("4", encoded("BMP")),
        ("5", encoded("TIFF")),
    ],
)
def test_a_picture_is_read_whatever_it_is_called(tmp_path: Path, name: str, data: bytes) -> None:
    found = inspect(write_files(tmp_path, {f"cat/{name}": data, "dog/1.png": picture(1)}))
    assert found.class_counts == {"cat": 1, "dog": 1}
    assert (found.sampled_bad, found.warnings) == (0, ())
    assert read_shard(found.manifest, 0).images[0] == data


def test_a_folder_of_pictures_without_any_suffix_is_an_image_folder(tmp_path: Path) -> None:
    found = inspect(write_files(tmp_path, {f"{name}/{n}": picture(n) for name in ("cat", "dog") for n in range(2)}))
    assert (found.manifest.format, found.manifest.rows) == ("image_folder", 4)


def test_files_that_are_not_read_are_counted_and_the_class_that_they_were_is_named(tmp_path: Path) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    write_files(tmp_path, {"a/1.png": picture(0), "b/1.png": picture(1), "b/1.txt": b"words", "b/odd": b"no picture"})
    write_files(tmp_path, {"c/1.mp4": heic, "c/2.mp4": heic})
    (tmp_path / "d").mkdir()
    found = inspect(tmp_path)
    assert found.class_counts == {"a": 1, "b": 1}
    assert found.warnings == (
        "4 file(s) are left out: 2 of .mp4, 1 of .txt, 1 of no suffix",
        "the class folder c holds no image that is read (2 of .mp4)",
        "the class folder d holds no image: it is empty",
    )


LEFT_BEHIND = [
    *("@eaDir/1.jpg", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/1.jpg", "lost+found/1.jpg", ".DS_Store"),
    *("a/Thumbs.db", "__MACOSX/a/1.jpg", "a/._1.jpg", "a/.ipynb_checkpoints/1.jpg", "#recycle/1.jpg", "Icon\r"),
    *("System Volume Information/1.jpg", "_vti_cnf/1.jpg", "a/2.jpg.crdownload", "a/desktop.ini", "a/1.jpg~"),
]


def test_what_file_systems_leave_behind_is_no_class_and_no_image(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "_other/1.png": picture(1)})
    found = inspect(write_files(tmp_path, dict.fromkeys(LEFT_BEHIND, picture(2))))
    assert found.class_counts == {"_other": 1, "a": 1}
    assert found.warnings == ()


@pytest.mark.parametrize(
    "name",
    ["_temporary/0/part-1.parquet", "_delta_log/00.checkpoint.parquet", "_metadata", ".0.parquet.crc", "_SUCCESS"],
)
def test_what_engines_leave_behind_is_no_part_of_a_table(tmp_path: Path, name: str) -> None:
    write_parquet(tmp_path / "0.parquet", image=pictures(2))
    write_parquet(tmp_path / name, image=pictures(3))
    write_files(tmp_path, {"_committed_1": b"{}", "_started_1": b"", f"_delta_log/{0:020}.json": b"{}"})
    found = inspect(tmp_path, "unlabeled")
    assert (found.manifest.rows, found.warnings) == (2, ())


def test_what_is_left_behind_is_passed_over_within_a_tar_file_too(tmp_path: Path) -> None:
    members = [("./a/1.png", picture(0)), ("./a/._1.png", b"x"), ("__MACOSX/a/1.png", b"x"), ("@eaDir/2.jpg", b"x")]
    found = inspect(write_tar(tmp_path / "0.tar", members), "unlabeled")
    assert read_shard(found.manifest, 0).keys == ["a/1"]


def test_a_link_to_a_folder_around_it_is_not_followed(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", {f"{name}/{n}.png": picture(n) for name in "ab" for n in range(3)})
    write_files(tmp_path, {"beside/1.png": picture(9)})
    for name, target in {"a/self": ".", "a/parent": "..", "b/around": "../..", "a/ring": "ring"}.items():
        (root / name).symlink_to(target)
    found = inspect(root)
    assert found.class_counts == {"a": 3, "b": 3}
    assert found.warnings[0].startswith("3 link(s) to a folder that is read already, or that holds them were passed")
    assert found.warnings[1] == "1 link(s) that lead nowhere were passed over, the first a/ring"


def test_two_links_to_one_folder_give_its_images_once_and_that_is_said(tmp_path: Path) -> None:
    write_files(tmp_path / "elsewhere", {"x.png": picture(0), "deep/y.png": picture(1)})
    root = write_files(tmp_path / "set", {"c/1.png": picture(2)})
    for name in ("a", "b"):
        (root / name).symlink_to("../elsewhere")
    found = inspect(root)
    assert found.class_counts == {"a": 2, "c": 1}
    assert labels_read_back(found) == ["a", "a", "c"]
    assert "link(s) to a folder that is read already" in found.warnings[0]
    assert found.warnings[0].endswith("the first b")


def test_links_to_files_are_files(tmp_path: Path) -> None:
    write_files(tmp_path / "blobs", {"1f": picture(0), "2f": picture(1)})
    root = write_files(tmp_path / "set", {"a/0.png": picture(2), "b/0.png": picture(3)})
    (root / "a" / "1.png").symlink_to("../../blobs/1f")
    (root / "b" / "1.png").symlink_to("../../blobs/2f")
    assert inspect(root).class_counts == {"a": 2, "b": 2}


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"a/0.png": picture(2), "b/0.png": picture(3)})
    os.mkfifo(root / "a" / "1.png")
    found = inspect(root)
    assert found.class_counts == {"a": 1, "b": 1}
    assert "1 pipe(s)" in found.warnings[0]


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Train", "valid"),
        ("training", "testing"),
        ("train", "validation", "dev"),
        ("train2017", "val2017", "other"),
        ("train",),
        ("test_set", "training-set"),
        ("images_train", "images_test"),
        ("imagenet_train", "imagenet_val"),
    ],
)
def test_splits_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_files(tmp_path, {f"{name}/{kind}/1.png": picture(0) for name in names for kind in ("cat", "dog")})
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert "look like splits" in message
    assert "register each by itself" in message
    assert names[0] in message


def test_a_class_called_like_a_split_among_others_is_a_class(tmp_path: Path) -> None:
    write_files(tmp_path, {f"{name}/1.png": picture(n) for n, name in enumerate(("car", "bus", "train"))})
    assert inspect(tmp_path).manifest.classes == ("bus", "car", "train")


def test_classes_called_like_splits_can_be_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"train/1.png": picture(0), "test/1.png": picture(1)})
    assert inspect(tmp_path, classes=("train", "test")).class_counts == {"train": 1, "test": 1}


def test_splits_read_as_one_pool_or_one_table_are_said(tmp_path: Path) -> None:
    write_files(tmp_path / "pool", {"train/1.png": picture(0), "test/1.png": picture(1)})
    assert "look like splits (test, train)" in inspect(tmp_path / "pool", "unlabeled").warnings[0]
    for name in ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"):
        write_parquet(tmp_path / "hf" / name, image=[picture(len(name))])
    assert "look like splits (test, train)" in inspect(tmp_path / "hf", "unlabeled").warnings[0]


def test_one_folder_around_the_classes_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {f"images/{name}/1.png": picture(0) for name in ("cat", "dog")})
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert f"register {tmp_path}/images where those are the classes" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0.csv", "(1 of .csv) is read: where they list images by URI, give the format uri_list"),
        ("0.jsonl", "give the format uri_list"),
        ("0.tar.gz", "(1 of .gz) is read: compressed files are not read"),
        ("0.tgz", "unpack them first"),
        ("0.zip", "archives are not read: unpack them into a folder first"),
        ("data-00000-of-00001.tfrecord", "write the images to Parquet"),
        ("0.h5", "write the images to Parquet"),
        ("0.nef", "convert them to JPEG"),
        ("0.json", "JSON lines"),
        ("0.xyz", "(1 of .xyz) is read; what is read ends in .apng"),
    ],
)
def test_files_that_cannot_be_read_come_with_a_way_out(tmp_path: Path, name: str, words: str) -> None:
    root = write_files(tmp_path / "set", {name: b"something else"})
    assert words in refusal(root)[1]
    if name not in ("0.csv", "0.jsonl", "0.xyz"):
        assert words.partition(": ")[2] in refusal(root / name)[1]


def test_a_parquet_file_may_end_in_pq_or_in_nothing(tmp_path: Path) -> None:
    for name in ("1.pq", "2.parq", "3"):
        write_parquet(tmp_path / "set" / name, image=pictures(1))
    assert inspect(tmp_path / "set", "unlabeled").manifest.rows == 3
    assert inspect(tmp_path / "set" / "3", "unlabeled").manifest.format == "parquet"


@pytest.mark.parametrize("letter", ["\x1b", "\x9b", "\u202e", "\u2028", "\n"])
@pytest.mark.parametrize("place", ["a{}b/1.png", "a/1{}.png"])
def test_a_name_that_a_terminal_would_obey_is_refused_and_shown_escaped(
    tmp_path: Path, letter: str, place: str
) -> None:
    write_files(tmp_path, {"b/1.png": picture(0), place.format(letter): picture(1)})
    field, message = refusal(tmp_path)
    assert field == "uri"
    assert letter not in message
    assert f"(U+{ord(letter):04X})" in message


def test_an_image_with_two_labels_and_labels_of_minus_one_are_said(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "b/1.png": picture(0), "b/2.png": picture(0), "-1/3.png": picture(1)})
    warnings = inspect(tmp_path).warnings
    assert warnings[0] == "1 image(s) have the label -1, which is taken for a class; it often stands for no label"
    assert warnings[1] == "2 image(s) are there more than once, byte for byte"
    assert warnings[2].startswith("2 image(s) have two labels, being there under both; the first: ")
    assert warnings[2].endswith(f"{tmp_path}/a/1.png and {tmp_path}/b/1.png")


def test_classes_that_look_alike_and_classes_without_images_are_said(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", image=pictures(2), label=["cat", "Cat"])
    warnings = inspect(tmp_path, classes=("cat", "Cat", "dog")).warnings
    assert warnings == (
        "1 class(es) have no image: dog",
        "the classes cat, Cat differ in case, blanks or spelling of accents only",
    )


@pytest.mark.parametrize("label", ["", "  ", "a\x1b[31m", "\x9b", "x" * 1001])
def test_a_label_that_cannot_be_shown_is_refused_by_row(tmp_path: Path, label: str) -> None:
    write_parquet(tmp_path / "0.parquet", image=pictures(2), label=["cat", label])
    field, message = refusal(tmp_path)
    assert field == "label_column"
    assert "0.parquet row 1: its label has " in message


def test_a_class_that_cannot_be_shown_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    write_parquet(tmp_path / "0.parquet", image=pictures(2), label=["cat", "dog"])
    assert refusal(tmp_path, classes=("cat", " ")) == ("classes", "the class at place 1 has nothing but blanks")


def delta_table(folder: Path, *commits: str) -> Path:
    """Files of two images each, 0.parquet to 2.parquet, and a log of the changes to them."""
    for number in range(3):
        write_parquet(folder / "a b" / f"{number}.parquet", image=pictures(2, 2 * number))
    write_files(folder, {f"_delta_log/{number:020}.json": commit.encode() for number, commit in enumerate(commits)})
    return folder


def test_what_a_delta_table_has_removed_does_not_come_back(tmp_path: Path) -> None:
    adds = "".join(f'{{"add": {{"path": "a%20b/{number}.parquet"}}}}\n' for number in range(2))
    change = '{"remove": {"path": "a%20b/0.parquet"}}\n{"add": {"path": "a%20b/2.parquet"}}'
    found = inspect(delta_table(tmp_path, adds, change), "unlabeled")
    assert [Path(shard.uri).name for shard in found.manifest.shards] == ["1.parquet", "2.parquet"]


@pytest.mark.parametrize(
    ("commits", "words"),
    [
        (('{"add": {"path": "x", "deletionVector": {"a": 1}}}',), "rows were deleted from this Delta table"),
        (("no json",), f"its Delta log cannot be read: {0:020}.json"),
        (('{"add": {"path": "elsewhere.parquet"}}',), "none of its 3 file(s) belongs to a table"),
    ],
)
def test_a_delta_table_that_cannot_be_told_from_its_log_is_refused(
    tmp_path: Path, commits: tuple[str, ...], words: str
) -> None:
    assert words in refusal(delta_table(tmp_path, *commits), "unlabeled")[1]


def test_a_delta_table_whose_log_is_cut_is_refused(tmp_path: Path) -> None:
    delta_table(tmp_path, "{}", "{}")
    (tmp_path / "_delta_log" / f"{0:020}.json").unlink()
    assert "the log of this Delta table is kept in checkpoints" in refusal(tmp_path, "unlabeled")[1]


def test_parts_that_an_engine_has_not_moved_into_place_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    for name in ("0.parquet", "_hive-staging/1.parquet", "_impala_insert_staging/a/2.parquet", "_kind=a/3.parquet"):
        write_parquet(tmp_path / name, image=pictures(1))
    found = inspect(tmp_path, "unlabeled")
    assert found.manifest.rows == 2
    assert found.warnings[0] == "2 file(s) are left out: 2 of .parquet"


def test_an_image_that_is_too_large_is_a_broken_one(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/1.png": picture(0), "b/1.png": picture(1), "b/2.jpg": b"\xff\xd8\xff"})
    os.truncate(tmp_path / "b" / "2.jpg", 3 << 30)
    found = inspect(tmp_path)
    assert (found.manifest.rows, found.sampled_bad) == (3, 1)
    assert read_shard(found.manifest, 0).unreadable[2].kind is BrokenKind.TOO_LARGE
