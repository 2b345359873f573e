"""Buckets as people and programs leave them follow the same rules as local folders."""

import io
import json

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.config.datasets import LookRequest
from service.datasets.inspection import DatasetRequest, InspectedDataset, inspect_dataset
from service.datasets.looks.look import look_at
from service.errors import InvalidRequest
from tests.object_store.conftest import Address
from tests.support.made_datasets import pictures
from tests.support.made_shards import picture
from workers.artifact_io import join_uri, write_bytes
from workers.data.shards.shard_readers import read_shard


def put(root: str, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        write_bytes(join_uri(root, name), content)
    return root


def parquet(images: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": images}), buffer)
    return buffer.getvalue()


def registered(uri: str, role: str = "labeled") -> InspectedDataset:
    request = DatasetRequest.model_validate({"name": "d", "role": role, "uri": uri})
    return inspect_dataset(request, "ds-1", "/nowhere")


def test_class_folders_of_a_bucket_are_read_by_content_and_leftovers_passed_over(bucket: Address) -> None:
    files = {"cat/1.png": picture(0), "cat/plain": picture(1), "dog/1.jfif": picture(2), "dog/notes.txt": b"words"}
    left_behind = {"@eaDir/1.jpg": picture(3), "dog/.DS_Store": b"x", "__MACOSX/cat/1.png": picture(4)}
    found = registered(put(bucket("set"), files | left_behind))
    assert found.class_counts == {"cat": 2, "dog": 1}
    assert found.warnings == ("1 file(s) are left out: 1 of .txt",)
    assert read_shard(found.manifest, 0).images == [picture(0), picture(1), picture(2)]


def test_what_an_engine_leaves_in_a_bucket_is_no_part_of_its_table(bucket: Address) -> None:
    log = "".join(json.dumps({"add": {"path": f"{n}.parquet"}}) + "\n" for n in range(2))
    removed = json.dumps({"remove": {"path": "0.parquet"}})
    files = {"0.parquet": parquet(pictures(2)), "1.parquet": parquet(pictures(3, 5))}
    engine = {"_temporary/0/2.parquet": parquet(pictures(1)), "_SUCCESS": b"", "_delta_log/_last_checkpoint": b"{}"}
    logs = {f"_delta_log/{0:020}.json": log.encode(), f"_delta_log/{1:020}.json": removed.encode()}
    assert registered(put(bucket("plain"), files | engine), "unlabeled").manifest.rows == 5
    assert registered(put(bucket("delta"), files | engine | logs), "unlabeled").manifest.rows == 3


def test_splits_in_a_bucket_are_no_classes(bucket: Address) -> None:
    root = put(bucket("set"), {f"{split}/cat/1.png": picture(0) for split in ("train", "val")})
    with pytest.raises(InvalidRequest, match="look like splits"):
        registered(root)


def test_a_name_in_a_bucket_that_a_terminal_would_obey_is_refused(bucket: Address, s3_endpoint: str) -> None:
    root = put(bucket("set"), {"cat/1.png": picture(0)})
    name = root.removeprefix("s3://").partition("/")[0]
    client = boto3.client("s3", endpoint_url=f"http://{s3_endpoint}")
    client.put_object(Bucket=name, Key="set/d\u009bg/1.png", Body=b"x")
    with pytest.raises(InvalidRequest, match=r"a control character \(U\+009B\)"):
        registered(root)


@pytest.mark.parametrize("key", ["cat/./9.png", "cat/../9.png", "cat//9.png"])
def test_a_key_that_is_no_path_is_refused_by_its_name(bucket: Address, s3_endpoint: str, key: str) -> None:
    root = put(bucket("set"), {"cat/1.png": picture(0), "dog/1.png": picture(1)})
    name = root.removeprefix("s3://").partition("/")[0]
    client = boto3.client("s3", endpoint_url=f"http://{s3_endpoint}")
    client.put_object(Bucket=name, Key=f"set/{key}", Body=picture(2))
    with pytest.raises(
        InvalidRequest, match=r"the key cat/\S*/9\.png below it has a|the key cat//9\.png below it has an empty"
    ):
        registered(root)


def test_a_look_at_a_bucket_offers_its_splits(bucket: Address) -> None:
    names = [f"{split}/{name}/{split} 1.png" for split in ("train", "test") for name in ("cat", "naïve fox")]
    root = put(bucket("pets"), {name: picture(number) for number, name in enumerate(names)})
    found = look_at(LookRequest(uri=root))
    assert found.taken_for == "a folder of images with a folder for each class, in 2 split(s): train, test"
    assert [request.name for request in found.requests] == ["pets train", "pets test"]
    for request in found.requests:
        assert inspect_dataset(request, "ds-1", "/nowhere").class_counts == {"cat": 1, "naïve fox": 1}


def test_an_export_in_a_bucket_finds_its_images_there(bucket: Address) -> None:
    tasks = [
        {"data": {"image": f"/data/upload/1/a%20{number}.png"}, "annotations": [{"result": [choice]}]}
        for number, choice in enumerate(
            {"type": "choices", "from_name": "c", "value": {"choices": [name]}} for name in ("x", "y")
        )
    ]
    files = {f"media/upload/1/a {number}.png": picture(number) for number in range(2)}
    root = put(bucket("labels"), {**files, "export/project.json": json.dumps(tasks).encode()})
    for place in (join_uri(root, "export/project.json"), join_uri(root, "export")):
        [request] = look_at(LookRequest(uri=place)).requests
        found = inspect_dataset(request, "ds-1", bucket("parts"))
        assert (found.class_counts, found.sampled_bad) == ({"x": 1, "y": 1}, 0)
        assert [key for index in range(1) for key in read_shard(found.manifest, index).keys] == list(files)
