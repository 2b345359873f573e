"""Datasets of every format in a bucket, from registration through labels to a selection, without Ray."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from service.datasets.inspection import DatasetRequest
from service.errors import InvalidRequest
from service.settings import Settings
from service.store.migrate import upgrade
from service.wiring import open_services
from tests.object_store.conftest import Address, names_below
from tests.support.pool_in_process import PoolInProcess
from workers.artifact_io import join_uri, open_filesystem, read_bytes, write_bytes
from workers.data.dataset_roots import stage_environment
from workers.data.shards.shard_readers import load_manifest, read_shard
from workers.labeling import resumed_shards
from workers.labeling import stage as label_stage
from workers.models.create import create_model
from workers.models.files import write_model
from workers.runtime.stage_reporter import StageReporter
from workers.selection.stage import run_select
from workers.specs.model_card import ModelCard
from workers.specs.selection import SelectionSettings
from workers.specs.stages import ActorPool, LabelSpec, SelectSpec

ROWS = 12


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def parquet(root: str) -> str:
    for part in range(2):
        buffer = io.BytesIO()
        rows = range(part * 6, part * 6 + 6)
        pq.write_table(pa.table({"image": [picture(row) for row in rows]}), buffer)
        write_bytes(join_uri(root, "parquet", f"{part}.parquet"), buffer.getvalue())
    return join_uri(root, "parquet")


def image_folder(root: str) -> str:
    for row in range(ROWS):
        write_bytes(join_uri(root, "folder", f"{row:02d} of-{ROWS}.png"), picture(row))
    return join_uri(root, "folder")


def webdataset(root: str) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for row in range(ROWS):
            info = tarfile.TarInfo(f"{row:02d}.png")
            info.size = len(picture(row))
            tar.addfile(info, io.BytesIO(picture(row)))
    write_bytes(join_uri(root, "tars", "0.tar"), buffer.getvalue())
    return join_uri(root, "tars")


def uri_list(root: str) -> str:
    """Half of the list's entries are relative, and half are absolute without options."""
    image_folder(root)
    address = join_uri(root, "folder").partition("?")[0]
    names = [f"{row:02d} of-{ROWS}.png" for row in range(ROWS)]
    lines = [f"../folder/{name}" if row % 2 else f"{address}/{name}" for row, name in enumerate(names)]
    write_bytes(join_uri(root, "lists", "all.txt"), "\n".join(lines).encode())
    return join_uri(root, "lists", "all.txt")


Spec = TypeVar("Spec", LabelSpec, SelectSpec)
Result = TypeVar("Result")


class Bucket(PoolInProcess):
    """A control plane whose artifact root is a bucket, and the stages with the pool replaced by a loop."""

    def __init__(self, root: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        settings = Settings(home=folder, artifact_root=join_uri(root, "artifacts"))
        upgrade(settings.database_url)
        self.services = open_services(settings)
        self.commands = self.services.dataset_commands
        monkeypatch.setattr(resumed_shards, "map_shards", self.map_shards)

    def register(self, uri: str, **fields: object) -> str:
        """Registers an unlabeled dataset, and returns the URI of its manifest."""
        request = DatasetRequest.model_validate({"name": "d", "role": "unlabeled", "uri": uri, **fields})
        dataset = self.commands.register(request)
        return join_uri(self.root, "artifacts", "datasets", dataset.id, "manifest.json")

    def label_spec(self, manifest_uri: str, attempt: int = 1) -> LabelSpec:
        return LabelSpec(
            run_id="r", generation=1, attempt=attempt, folder_uri=join_uri(self.root, "label"), seed=0,
            model_uri=join_uri(self.root, "model"), manifest_uri=manifest_uri, batch_size=4, pool=ActorPool(),
        )  # fmt: skip

    def run(self, function: Callable[[Spec, StageReporter], Result], spec: Spec) -> Result:
        write_bytes(join_uri(spec.folder_uri, "spec.json"), spec.model_dump_json().encode())
        return function(spec, StageReporter(spec, entered_at=0.0))


@pytest.fixture
def store(bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    store = Bucket(bucket("data"), tmp_path, monkeypatch)
    torch.manual_seed(0)
    card = ModelCard(
        model="test_resnet", classes=("a", "b"), image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(join_uri(store.root, "model"), create_model("test_resnet", 2, 28, 0.0, 0.0).state_dict(), card)
    yield store
    store.services.close()


@pytest.mark.parametrize("make", [parquet, image_folder, webdataset, uri_list])
def test_every_format_is_registered_and_read(store: Bucket, make: Callable[[str], str]) -> None:
    manifest = load_manifest(store.register(make(store.root)))
    assert manifest.rows == ROWS
    images = [image for index in range(len(manifest.shards)) for image in read_shard(manifest, index).images]
    assert sorted(images) == sorted(picture(row) for row in range(ROWS))
    assert all("?" not in key for index in range(len(manifest.shards)) for key in read_shard(manifest, index).keys)


def test_labels_and_selection_are_written_and_a_rerun_labels_what_is_missing(store: Bucket) -> None:
    manifest_uri = store.register(parquet(store.root))
    first = store.run(label_stage.run_label, store.label_spec(manifest_uri))
    assert (first.labeled, first.shards_resumed) == (ROWS, 0)
    before = read_bytes(join_uri(store.root, "label", "part-00000.parquet"))

    filesystem, path = open_filesystem(join_uri(store.root, "label", "part-00001.parquet"))
    filesystem.delete_file(path)
    store.labeled.clear()
    again = store.run(label_stage.run_label, store.label_spec(manifest_uri, attempt=2))
    assert (store.labeled, again.labeled, again.shards_resumed) == ([1], ROWS, 1)
    assert read_bytes(join_uri(store.root, "label", "part-00000.parquet")) == before

    spec = SelectSpec(
        run_id="r", generation=1, attempt=1, folder_uri=join_uri(store.root, "select"), seed=0,
        manifest_uri=manifest_uri, labels_uri=join_uri(store.root, "label"), classes=("a", "b"),
        settings=SelectionSettings(min_confidence=0, duplicates="drop", near_duplicates="drop"),
    )  # fmt: skip
    assert store.run(run_select, spec).kept == ROWS
    assert not [name for name in names_below(store.root) if "/." in name]


def test_a_list_that_is_refused_leaves_nothing_in_the_bucket(store: Bucket) -> None:
    before = names_below(join_uri(store.root, "artifacts"))
    write_bytes(join_uri(store.root, "lists", "gone.txt"), b"gone/1.png\ngone/2.png\n")
    with pytest.raises(InvalidRequest, match=r"2 of 2 sampled images cannot be decoded"):
        store.register(join_uri(store.root, "lists", "gone.txt"))
    assert names_below(join_uri(store.root, "artifacts")) == before


def test_a_key_with_an_empty_part_is_refused_and_named(store: Bucket) -> None:
    # Arrow cannot write such a key, but an upload form of the S3 protocol can.
    bucket, options = store.root.removeprefix("s3://").partition("/")[0], store.root.partition("?")[2]
    endpoint = parse_qs(options).get("endpoint_override", [os.environ.get("AWS_ENDPOINT_URL", "")])[0]
    client = boto3.client("s3", endpoint_url=f"http://{endpoint.removeprefix('http://')}")
    client.put_object(Bucket=bucket, Key="twice//a.png", Body=picture(1))
    for uri in (f"s3://{bucket}/twice", f"s3://{bucket}/twice//a.png"):
        with pytest.raises(InvalidRequest, match=r"empty part") as refused:
            store.register(f"{uri}?{options}" if options else uri)
        assert refused.value.field == "uri"
        assert "/a.png" in refused.value.message


def test_keys_that_a_uri_writes_as_escapes_are_read_below_their_roots(
    store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, path = open_filesystem(join_uri(store.root, "odd"))
    for number, name in enumerate(("a#b.png", "50% off?.png", "ä b.png")):
        with filesystem.open_output_stream(f"{path}/{name}") as stream:
            stream.write(picture(number))
    manifest = load_manifest(store.register(join_uri(store.root, "odd")))
    for name, value in stage_environment([store.root]).items():
        monkeypatch.setenv(name, value)

    read = read_shard(manifest, 0)

    assert sorted(read.images) == sorted(picture(number) for number in range(3))
    assert not read.unreadable
