"""Every picture among the inputs, in each format, passes through registration and the real label stage.

Each is labeled, or broken as expected. A loop in this process replaces the actors.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmarks.inputs.every import every_input
from benchmarks.inputs.expectations import Broken, Decodes, PictureInput
from benchmarks.inputs.service_process import ServiceProcess
from benchmarks.inputs.small_parquet import parquet_of
from benchmarks.inputs.small_tars import tar_of
from benchmarks.inputs.trees import write
from workers.labeling import resumed_shards
from workers.labeling import stage as label_stage
from workers.models.create import create_model
from workers.models.files import write_model
from workers.runtime.shard_pool import ShardDone, ShardFunction
from workers.runtime.stage_reporter import StageReporter
from workers.specs.model_card import ModelCard
from workers.specs.stages import ActorPool, LabelSpec

LARGE_KINDS = ("scaled jpegs", "picture bombs")
MOST_BYTES = 1_000_000
Write = Callable[[Path, list[bytes]], str]


@pytest.fixture(scope="module")
def pictures() -> list[tuple[PictureInput, bytes]]:
    given = [each for each in every_input() if isinstance(each, PictureInput) and each.kind not in LARGE_KINDS]
    return [(each, data) for each in given if len(data := each.make()) < MOST_BYTES]


def image_folder(folder: Path, contents: list[bytes]) -> str:
    write(folder, {f"p{number:03d}.jpg": content for number, content in enumerate(contents)})
    return str(folder)


def parquet(folder: Path, contents: list[bytes]) -> str:
    keys = [f"p{number:03d}" for number in range(len(contents))]
    write(folder, {"a.parquet": parquet_of(pa.table({"key": keys, "image": pa.array(contents, pa.binary())}))})
    return str(folder)


def tar(folder: Path, contents: list[bytes]) -> str:
    write(folder, {"a.tar": tar_of({f"p{number:03d}.jpg": content for number, content in enumerate(contents)})})
    return str(folder)


def uri_list(folder: Path, contents: list[bytes]) -> str:
    image_folder(folder / "pictures", contents)
    lines = "\n".join(f"pictures/p{number:03d}.jpg" for number in range(len(contents)))
    write(folder, {"list.txt": lines.encode()})
    return str(folder / "list.txt")


@pytest.mark.parametrize("write_pool", [image_folder, parquet, tar, uri_list])
def test_every_picture_is_labeled_or_broken_as_it_should_be(
    service: ServiceProcess,
    pictures: list[tuple[PictureInput, bytes]],
    write_pool: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri = write_pool(tmp_path / "pool", [data for _, data in pictures])
    answer = service.client.post("/datasets", json={"name": "pool", "role": "unlabeled", "uri": uri})
    assert answer.status_code == 201, answer.text
    assert answer.json()["rows"] == len(pictures)
    broken = labeled(service.home / "artifacts" / "datasets" / answer.json()["id"], tmp_path, monkeypatch)
    wrong = [
        f"{given.kind}: {given.name}: {broken.get(number, 'labeled')}"
        for number, (given, _) in enumerate(pictures)
        if not is_as_expected(given, broken.get(number))
    ]
    assert wrong == []


def is_as_expected(given: PictureInput, kind: str | None) -> bool:
    """Fails unless the outcome is an expected one. `kind` is the broken picture's, or None if it was labeled."""
    return any(
        (isinstance(each, Decodes) and kind is None) or (isinstance(each, Broken) and kind in each.kinds)
        for each in given.expected
    )


def labeled(dataset: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Runs the label stage, and returns the kinds of the broken pictures by their numbers."""

    def map_shards(
        make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> Iterator[ShardDone]:
        function = make_function()
        for shard in shard_indices:
            yield ShardDone(shard, 1.0, 2.0, function(shard))

    monkeypatch.setattr(resumed_shards, "map_shards", map_shards)
    torch.manual_seed(0)
    card = ModelCard(
        model="test_resnet", classes=("a", "b"), image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="center",
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(folder / "model"), create_model("test_resnet", 2, 28, 0.0, 0.0).state_dict(), card)
    spec = LabelSpec(
        run_id="r", generation=1, attempt=1, folder_uri=str(folder / "label"), seed=0, max_bad_fraction=0.9,
        model_uri=str(folder / "model"), manifest_uri=str(dataset / "manifest.json"), batch_size=16, pool=ActorPool(),
    )  # fmt: skip
    write(folder, {"label/spec.json": spec.model_dump_json().encode()})
    result = label_stage.run_label(spec, StageReporter(spec, entered_at=0.0))
    quarantined = [
        row for file in (folder / "label" / "quarantine").glob("*.parquet") for row in pq.read_table(file).to_pylist()
    ]
    assert result.labeled == result.images - len(quarantined)
    return {number_in(row["key"]): row["kind"] for row in quarantined}


def number_in(key: str) -> int:
    found = re.search(r"p(\d{3})", key)
    assert found is not None, key
    return int(found.group(1))
