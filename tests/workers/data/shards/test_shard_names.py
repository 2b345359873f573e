"""The names of a shard's rows, read without the images, are those that readers of images give."""

from pathlib import Path

import pytest

from tests.support.made_datasets import inspect, pictures, write_files, write_parquet, write_tar
from workers.data.errors import ShardReadError
from workers.data.shards.shard_names import shard_keys, shard_uris
from workers.data.shards.shard_readers import read_shard
from workers.specs.datasets import DatasetManifest


def places(root: Path) -> dict[str, Path]:
    """A pool of each format."""
    one, two = pictures(2)
    write_parquet(root / "keys" / "a.parquet", image=[one, two], key=["x", None])
    write_parquet(root / "rows" / "a.parquet", image=[one, two])
    write_files(root / "folder", {"b/2.png": two, "a b.png": one})
    (root / "tar").mkdir()
    write_tar(root / "tar" / "0.tar", [("1.png", one), ("2.png", two), ("3.txt", b"no picture")])
    (root / "list.txt").write_text("folder/b/2.png\nfolder/a b.png\n")
    return {name: root / name for name in ("keys", "rows", "folder", "tar", "list.txt")}


@pytest.mark.parametrize("name", ["keys", "rows", "folder", "tar", "list.txt"])
def test_keys_are_those_of_the_readers_of_images(tmp_path: Path, name: str) -> None:
    asked = "uri_list" if name == "list.txt" else None
    manifest = inspect(places(tmp_path)[name], "unlabeled", format=asked).manifest
    for shard in range(len(manifest.shards)):
        assert shard_keys(manifest, shard) == read_shard(manifest, shard).keys


def test_chosen_rows_of_a_file_keep_their_own_keys(tmp_path: Path) -> None:
    for name in ("keys", "rows"):
        manifest = inspect(places(tmp_path / name)[name], "unlabeled").manifest
        [shard] = manifest.shards
        one = DatasetManifest.model_validate(
            {**dict(manifest), "rows": 1, "shards": (type(shard)(uri=shard.uri, rows=1, chosen=(1,)),)}
        )
        assert shard_keys(one, 0) == read_shard(one, 0).keys == ["a.parquet:1"]


def test_uris_lead_to_the_images_of_folders_and_lists_only(tmp_path: Path) -> None:
    found = places(tmp_path)
    folder = inspect(found["folder"], "unlabeled").manifest
    uris = shard_uris(folder, 0)
    assert uris is not None
    assert [Path(uri).read_bytes() for uri in uris] == list(read_shard(folder, 0).images)
    listed = inspect(found["list.txt"], "unlabeled", format="uri_list").manifest
    assert sorted(shard_uris(listed, 0) or ()) == sorted(uris)
    assert shard_uris(inspect(found["keys"], "unlabeled").manifest, 0) is None


def test_a_file_that_has_other_rows_than_were_registered_is_refused(tmp_path: Path) -> None:
    manifest = inspect(places(tmp_path)["keys"], "unlabeled").manifest
    write_parquet(tmp_path / "keys" / "a.parquet", image=pictures(3), key=["x", "y", "z"])
    with pytest.raises(ShardReadError, match="3 images where 2 were registered"):
        shard_keys(manifest, 0)
