"""One shard of every format gives keys, images and class indices in row order, or an error that names the file."""

import errno
import io
import pickle
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from workers.data import parquet_shards, shard_readers, tar_shards
from workers.data.errors import StoreReadError
from workers.data.shard_readers import ShardReadError, iterate_batches, load_manifest, read_rows, read_shard
from workers.entrypoint import reason_of
from workers.models.shard_pool import as_stage_error
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.reports import FailureReason


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


def test_parquet_with_binary_images_and_keys(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["dog", "cat", "dog"], key=[7, 8, 9])
    read = read_shard(manifest("parquet", shard, key_column="key"), 0)
    assert (read.keys, read.images, read.labels) == (["7", "8", "9"], PICTURES, [1, 0, 1])


MANY = 200


def many(folder: Path) -> DatasetManifest:
    """A shard of several pieces."""
    images, labels = [b"%d" % row for row in range(MANY)], ["cat" if row % 3 else "dog" for row in range(MANY)]
    pq.write_table(pa.table({"image": images, "label": labels}), folder / "many.parquet", row_group_size=MANY)
    return manifest("parquet", Shard(uri=str(folder / "many.parquet"), rows=MANY))


@pytest.mark.parametrize("rows", [[], [0], [63, 64], [5, 70, 71, 199], list(range(MANY))])
def test_some_rows_of_a_shard_are_those_of_the_whole_shard(rows: list[int], tmp_path: Path) -> None:
    whole, some = read_shard(many(tmp_path), 0), read_rows(many(tmp_path), 0, np.array(rows, dtype=np.int32))
    assert whole.labels is not None
    assert some.keys == [whole.keys[row] for row in rows]
    assert some.images == [whole.images[row] for row in rows]
    assert some.labels == [whole.labels[row] for row in rows]


def test_why_a_file_cannot_be_read_stays_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(PICTURES[1])
    listed = Shard(uri=str(tmp_path), rows=3, members=("cat/0.png", "cat/1.png", "cat/2.png"))
    some = read_rows(manifest("image_folder", listed), 0, np.array([1, 2]))
    assert some.images == [PICTURES[1], b""]
    assert list(some.unreadable) == [1]


def test_batches_of_a_shard_are_large_enough_and_together_the_shard(tmp_path: Path) -> None:
    batches = list(iterate_batches(many(tmp_path), 0, 100))
    assert [len(each.images) for each in batches] == [128, 72]
    assert [image for each in batches for image in each.images] == read_shard(many(tmp_path), 0).images


def test_parquet_with_struct_images_and_integer_labels(tmp_path: Path) -> None:
    images = pa.array([{"bytes": data, "path": "x"} for data in PICTURES])
    shard = write_parquet(tmp_path / "a.parquet", pic=images, label=[10, 2, 2])
    read = read_shard(manifest("parquet", shard, image_column="pic", classes=("2", "10")), 0)
    assert (read.images, read.labels) == (PICTURES, [1, 0, 0])


@pytest.mark.parametrize("image_type", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("label_type", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_types_of_images_and_labels(tmp_path: Path, image_type: pa.DataType, label_type: pa.DataType) -> None:
    shard = write_parquet(
        tmp_path / "a.parquet",
        image=pa.array(PICTURES, image_type),
        label=pa.array(["cat", "dog", "cat"]).cast(label_type),
    )
    read = read_shard(manifest("parquet", shard), 0)
    assert (read.images, read.labels) == (PICTURES, [0, 1, 0])


def test_parquet_without_keys_names_file_and_row(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3, key=["k", None, "l"])
    assert read_shard(manifest("parquet", shard), 0).keys == ["a.parquet:0", "a.parquet:1", "a.parquet:2"]
    assert read_shard(manifest("parquet", shard, key_column="key"), 0).keys == ["k", "a.parquet:1", "l"]


def test_a_null_image_is_an_empty_one(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=[PICTURES[0], None], label=["cat", "dog"])
    assert read_shard(manifest("parquet", shard), 0).images == [PICTURES[0], b""]


def test_an_unlabeled_dataset_gives_no_labels(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3)
    assert read_shard(manifest("parquet", shard, role="unlabeled", classes=(), label_column=None), 0).labels is None


def test_the_shard_that_was_asked_for_is_read(tmp_path: Path) -> None:
    first = write_parquet(tmp_path / "a.parquet", image=PICTURES[:1], label=["cat"])
    second = write_parquet(tmp_path / "b.parquet", image=PICTURES[1:], label=["dog", "cat"])
    read = read_shard(manifest("parquet", first, second), 1)
    assert (read.images, read.labels) == (PICTURES[1:], [1, 0])


def test_image_folder_with_class_folders(tmp_path: Path) -> None:
    members = ("cat/2.png", "dog/deep/1.png", "cat/1.png")
    for member, data in zip(members, PICTURES, strict=True):
        (tmp_path / member).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / member).write_bytes(data)
    read = read_shard(manifest("image_folder", Shard(uri=str(tmp_path), rows=3, members=members)), 0)
    assert (read.keys, read.images, read.labels) == (list(members), PICTURES, [0, 1, 0])


def test_a_file_that_is_gone_from_a_folder_is_an_empty_image(tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(PICTURES[0])
    shard = Shard(uri=str(tmp_path), rows=2, members=("gone.png", "there.png"))
    read = read_shard(manifest("image_folder", shard, role="unlabeled", classes=()), 0)
    assert read.images == [b"", PICTURES[0]]


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


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_shards_are_found_by_uri_and_by_path(tmp_path: Path, scheme: str) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3)
    read = read_shard(manifest("parquet", replace(shard, uri=scheme + shard.uri)), 0)
    assert read.images == PICTURES


@pytest.mark.parametrize("kept", [0, 10, 0.15])
@pytest.mark.parametrize("dataset_format", ["parquet", "webdataset"])
def test_a_truncated_shard_is_named(tmp_path: Path, dataset_format: str, kept: float) -> None:
    path = tmp_path / "broken-shard"
    if dataset_format == "parquet":
        shard = write_parquet(path, image=PICTURES, label=["cat"] * 3)
    else:
        shard = write_tar(path, [(f"{i}.png", data) for i, data in enumerate(PICTURES)], rows=3)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept) if kept < 1 else int(kept)])
    with pytest.raises(ShardReadError, match="broken-shard: not a readable"):
        read_shard(manifest(dataset_format, shard), 0)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_tar_that_breaks_off_between_two_members_is_truncated(tmp_path: Path, blocks: int) -> None:
    shard = write_tar(tmp_path / "s.tar", [("0.png", PICTURES[0]), ("1.png", PICTURES[1])], rows=2)
    path = Path(shard.uri)
    path.write_bytes(path.read_bytes()[: 512 * blocks])
    with pytest.raises(ShardReadError, match=r"s\.tar"):
        read_shard(manifest("webdataset", shard, role="unlabeled", classes=()), 0)


@pytest.mark.parametrize("dataset_format", ["parquet", "webdataset"])
def test_a_shard_that_is_gone_is_named(tmp_path: Path, dataset_format: str) -> None:
    shard = Shard(uri=str(tmp_path / "gone"), rows=1)
    with pytest.raises(ShardReadError, match="gone: there is no such file"):
        read_shard(manifest(dataset_format, shard), 0)


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


@pytest.mark.parametrize("text", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_a_parquet_file_that_is_not_utf8_is_readable(tmp_path: Path, text: pa.DataType) -> None:
    raw = pa.array([LATIN, b"tea", None], pa.binary())
    is_large = text == pa.large_string()
    parts = (raw.cast(pa.large_binary()) if is_large else raw).buffers()
    keys = pa.Array.from_buffers(pa.large_string() if is_large else pa.string(), 3, parts)
    if pa.types.is_dictionary(text):
        keys = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int32()), keys.slice(0, 2))
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, key=keys, label=["cat"] * 3)
    read = read_shard(manifest("parquet", shard, key_column="key"), 0)
    assert read.keys == ["caf\\xe9", "tea", "a.parquet:2"]


class FailingStore:
    """A file system whose files can be opened or read no longer."""

    type_name = "failing"

    def __init__(self, error: OSError) -> None:
        self._error = error

    def open_input_file(self, path: str) -> None:
        raise self._error

    def open_input_stream(self, path: str, compression: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError("When reading information for key: AWS Error NETWORK_CONNECTION during HeadObject operation"),
        OSError("google::cloud::Status(UNAVAILABLE: try again)"),
    ],
)
@pytest.mark.parametrize(
    ("module", "dataset_format"),
    [(parquet_shards, "parquet"), (tar_shards, "webdataset"), (shard_readers, "image_folder")],
)
def test_an_error_of_the_storage_is_none_of_the_data(
    module: ModuleType, dataset_format: str, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_filesystem", lambda uri: (FailingStore(error), uri))
    members = ("cat/1.png",) if dataset_format == "image_folder" else ()
    with pytest.raises(StoreReadError, match=r"/pictures.*: the storage does not give it: ") as raised:
        read_shard(manifest(dataset_format, Shard(uri="/pictures", rows=1, members=members)), 0)
    for sent in (raised.value, pickle.loads(pickle.dumps(raised.value))):
        assert as_stage_error(sent).reason is FailureReason.ARTIFACT_STORE
        assert reason_of(sent) is FailureReason.ARTIFACT_STORE


def test_a_damaged_shard_is_bad_data_and_no_error_of_the_storage(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3)
    data = bytearray(Path(shard.uri).read_bytes())
    data[10:70] = b"\xff" * 60
    Path(shard.uri).write_bytes(data)
    with pytest.raises(ShardReadError, match="not a readable Parquet file") as raised:
        read_shard(manifest("parquet", shard), 0)
    assert as_stage_error(raised.value).reason is FailureReason.BAD_DATA


def test_a_shard_that_changed_since_registration_is_refused(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat"] * 3)
    with pytest.raises(ShardReadError, match=r"a\.parquet: 3 images where 4 were registered"):
        read_shard(manifest("parquet", replace(shard, rows=4)), 0)


@pytest.mark.parametrize(("label", "problem"), [(None, "no label"), ("cow", "'cow' is no class")])
def test_a_row_without_a_proper_label_is_named(tmp_path: Path, label: str | None, problem: str) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat", "dog", label])
    with pytest.raises(ShardReadError, match=rf"a\.parquet: row 2 .*{problem}"):
        read_shard(manifest("parquet", shard), 0)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES)
    with pytest.raises(ShardReadError, match=r"a\.parquet: no column 'label'; it has image"):
        read_shard(manifest("parquet", shard), 0)


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = manifest("image_folder", Shard(uri="/pictures", rows=2, members=("cat/1.png", "dog/1.png")))
    (tmp_path / "manifest.json").write_text(written.model_dump_json())
    assert load_manifest(str(tmp_path / "manifest.json")) == written


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"dataset_id": "d"')
    with pytest.raises(ShardReadError, match=r"manifest\.json: not a dataset manifest"):
        load_manifest(str(tmp_path / "manifest.json"))


def test_the_error_survives_the_way_through_another_process() -> None:
    error = pickle.loads(pickle.dumps(ShardReadError("s3://a/b.parquet", "truncated")))
    assert str(error) == "s3://a/b.parquet: truncated"


def test_a_large_shard_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    """64 MB in one row group, in one tar file: in a process of its own, whose peak says what a read takes."""
    images = [np.random.default_rng(seed).bytes(1 << 18) for seed in range(256)]
    parquet = write_parquet_in_one_group(tmp_path / "a.parquet", images)
    tar = write_tar(tmp_path / "a.tar", [(f"{row:03d}.jpg", image) for row, image in enumerate(images)], rows=256)
    frames = write_tar(tmp_path / "b.tar", [(f"f.{row:03d}.jpg", image) for row, image in enumerate(images)], rows=256)
    for name, shard in (("parquet", parquet), ("webdataset", tar), ("webdataset", frames)):
        (tmp_path / name).write_text(manifest(name, shard, classes=(), label_column=None).model_dump_json())
        done = subprocess.run(
            [sys.executable, "-c", READ_AND_TELL_MEMORY, str(tmp_path / name)],
            check=True,
            capture_output=True,
            text=True,
        )
        rows, grown_mib = done.stdout.split()
        assert int(rows) == 256
        # A piece is 16 MB; read as a whole it would be 64 and more.
        assert float(grown_mib) < 50, name


READ_AND_TELL_MEMORY = """
import resource, sys
from workers.data import parquet_shards, shard_readers
parquet_shards._LARGE_ROW_GROUP_BYTES = 1 << 20
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
manifest, before = shard_readers.load_manifest(sys.argv[1]), peak()
print(sum(len(piece.images) for piece in shard_readers.iterate_shard(manifest, 0)), peak() - before)
"""


def write_parquet_in_one_group(path: Path, images: list[bytes]) -> Shard:
    pq.write_table(pa.table({"image": images}), path, compression="none", use_dictionary=False)
    return Shard(uri=str(path), rows=len(images))
