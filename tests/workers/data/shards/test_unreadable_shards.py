"""An unreadable shard is an error that names the file and says whose fault it is."""

import errno
import pickle
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.made_shards import PICTURES, manifest, write_parquet, write_tar
from workers.data.errors import StoreReadError
from workers.data.shards import folder_members, parquet_shards, tar_members
from workers.data.shards.shard_readers import ShardReadError, load_manifest, read_shard
from workers.entrypoint import reason_of
from workers.runtime.shard_pool import as_stage_error
from workers.specs.datasets import Shard
from workers.specs.reports import FailureReason


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


@pytest.mark.parametrize("dataset_format", ["parquet", "webdataset"])
def test_a_shard_that_is_gone_is_named(tmp_path: Path, dataset_format: str) -> None:
    shard = Shard(uri=str(tmp_path / "gone"), rows=1)
    with pytest.raises(ShardReadError, match="gone: there is no such file"):
        read_shard(manifest(dataset_format, shard), 0)


class FailingStore:
    """A file system whose files can no longer be opened or read."""

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
    [(parquet_shards, "parquet"), (tar_members, "webdataset"), (folder_members, "image_folder")],
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


@pytest.mark.parametrize(("label", "problem"), [(None, "no label"), ("cow", "its label is no class")])
def test_a_row_without_a_proper_label_is_named(tmp_path: Path, label: str | None, problem: str) -> None:
    shard = write_parquet(tmp_path / "a.parquet", image=PICTURES, label=["cat", "dog", label])
    with pytest.raises(ShardReadError, match=rf"a\.parquet: row 2: .*{problem}"):
        read_shard(manifest("parquet", shard), 0)


def test_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"dataset_id": "d"')
    with pytest.raises(ShardReadError, match=r"manifest\.json: not a dataset manifest"):
        load_manifest(str(tmp_path / "manifest.json"))


def test_the_error_survives_the_way_through_another_process() -> None:
    error = pickle.loads(pickle.dumps(ShardReadError("s3://a/b.parquet", "truncated")))
    assert str(error) == "s3://a/b.parquet: truncated"
