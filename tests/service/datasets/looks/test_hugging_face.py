"""Datasets that Hugging Face's own library has written: saved to disk, as Parquet, and as imagefolder."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service.errors import InvalidRequest
from tests.support.looked_at import counts, labels_read, look, registered
from tests.support.made_datasets import inspect, labels_read_back, refusal
from tests.support.made_shards import picture
from workers.data.shards.class_counts import class_counts
from workers.data.shards.shard_readers import read_shard

NAMES = ["tabby cat", "dog", "naïve fox"]


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, with its caches in a folder of these tests and no network."""
    folder = tmp_path_factory.mktemp("hf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        import datasets

        datasets.disable_progress_bars()
        yield datasets


def made(hf: Any, rows: int, start: int = 0, names: list[str] | None = None) -> Any:
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=names or NAMES)})
    images = [{"bytes": picture(start + row), "path": None} for row in range(rows)]
    return hf.Dataset.from_dict({"image": images, "label": [row % 3 for row in range(rows)]}, features=features)


def test_a_saved_dataset_is_read_with_the_names_of_its_classes(hf: Any, tmp_path: Path) -> None:
    made(hf, 9).save_to_disk(tmp_path / "pets", num_shards=2)
    found = look(tmp_path / "pets")
    assert found.taken_for == "a dataset saved by Hugging Face (Arrow)"
    assert (found.format, found.classes) == ("arrow", NAMES)
    assert [(part.images, part.images_are_all) for part in found.parts] == [(9, True)]
    assert counts(found, tmp_path / "parts") == [dict.fromkeys(NAMES, 3)]
    [dataset] = registered(found, tmp_path / "parts")
    assert labels_read(dataset) == NAMES * 3
    images = [image for index in range(2) for image in read_shard(dataset.manifest, index).images]
    assert images == [picture(row) for row in range(9)]
    assert class_counts(dataset.manifest).tolist() == [3, 3, 3]


def test_a_saved_dictionary_of_splits_becomes_a_request_each(hf: Any, tmp_path: Path) -> None:
    hf.DatasetDict({"train": made(hf, 6), "validation": made(hf, 3, 6), "test": made(hf, 3, 9)}).save_to_disk(
        tmp_path / "pets"
    )
    found = look(tmp_path / "pets")
    assert found.taken_for == "a dataset saved by Hugging Face (Arrow), in 3 split(s): train, validation, test"
    assert [request.role for request in found.requests] == ["labeled", "evaluation", "evaluation"]
    assert counts(found, tmp_path / "parts") == [dict.fromkeys(NAMES, 2), *[dict.fromkeys(NAMES, 1)] * 2]
    by_field = inspect(tmp_path / "pets", "evaluation", split="val")
    assert labels_read_back(by_field) == NAMES


def test_caches_and_parts_of_earlier_saves_are_not_read(hf: Any, tmp_path: Path) -> None:
    made(hf, 9).save_to_disk(tmp_path / "pets", num_shards=3)
    made(hf, 6).save_to_disk(tmp_path / "pets", num_shards=2)
    loaded = hf.load_from_disk(tmp_path / "pets")
    loaded.map(lambda row: {"width": 6}, cache_file_name=str(tmp_path / "pets/cache-0123456789abcdef.arrow"))
    assert len(list((tmp_path / "pets").glob("*.arrow"))) > 2
    found = inspect(tmp_path / "pets")
    assert found.manifest.rows == 6
    assert found.warnings[0].startswith(f"{len(list((tmp_path / 'pets').iterdir())) - 2} file(s) are left out")
    assert look(tmp_path / "pets").parts[0].images == 6


def test_parquet_of_the_hub_with_splits_in_one_folder(hf: Any, tmp_path: Path) -> None:
    (tmp_path / "repo/data").mkdir(parents=True)
    train = made(hf, 12)
    for number in range(2):
        part = train.shard(2, number, contiguous=True)
        part.to_parquet(tmp_path / f"repo/data/train-0000{number}-of-00002-0123456789abcdef.parquet")
    made(hf, 3, 12).to_parquet(tmp_path / "repo/data/test-00000-of-00001.parquet")
    found = look(tmp_path / "repo")
    assert (found.format, found.classes) == ("parquet", NAMES)
    assert "the names that the files give to the numbers in `label`" in (found.classes_from or "")
    assert [(request.split, request.role) for request in found.requests] == [
        ("train", "labeled"),
        ("test", "evaluation"),
    ]
    assert counts(found, tmp_path / "parts") == [dict.fromkeys(NAMES, 4), dict.fromkeys(NAMES, 1)]


CARD = """---
license: mit
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': tabby cat
          '1': dog
          '2': 'naïve fox'
  splits:
  - name: train
configs:
- config_name: default
---
# Pets
"""


@pytest.mark.parametrize("beside", ["README.md", "dataset_info.json", "dataset_infos.json"])
def test_names_of_classes_are_found_beside_files_that_hold_numbers(hf: Any, tmp_path: Path, beside: str) -> None:
    (tmp_path / "repo/data").mkdir(parents=True)
    table = made(hf, 6).data.table.replace_schema_metadata(None)
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "repo/data/train-00000-of-00001.parquet")
    info = {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}
    texts = {"README.md": CARD, "dataset_info.json": json.dumps(info), "dataset_infos.json": json.dumps({"a": info})}
    (tmp_path / "repo" / beside).write_text(texts[beside], encoding="utf-8")
    for place in ("repo", "repo/data"):
        assert inspect(tmp_path / place).class_counts == dict.fromkeys(NAMES, 2)
    assert look(tmp_path / "repo").classes == NAMES


def test_imagefolder_as_the_library_reads_it(hf: Any, tmp_path: Path) -> None:
    for split, numbers in (("train", range(6)), ("test", range(6, 9))):
        for number in numbers:
            file = tmp_path / f"pets/{split}/{'cat' if number % 2 else 'dog'}/{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.open(io.BytesIO(picture(number))).save(file)
    theirs = hf.load_dataset("imagefolder", data_dir=str(tmp_path / "pets"))
    found = look(tmp_path / "pets")
    assert found.classes == theirs["train"].features["label"].names
    ours = registered(found, tmp_path / "parts")
    for split, dataset in zip(("train", "test"), ours, strict=True):
        names = theirs[split].features["label"].names
        assert sorted(labels_read(dataset)) == sorted(names[label] for label in theirs[split]["label"])


def test_imagefolder_with_metadata_as_the_library_reads_it(hf: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pets/train"
    folder.mkdir(parents=True)
    rows = []
    for number in range(4):
        name = f"a b/{number} ü.png" if number % 2 else f"{number}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(picture(number))
        rows.append(f'"{name}",{"cat" if number % 2 else "dog"}')
    (folder / "metadata.csv").write_text("file_name,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    theirs = hf.load_dataset("imagefolder", data_dir=str(tmp_path / "pets"), split="train")
    [dataset] = registered(look(tmp_path / "pets"), tmp_path / "parts")
    assert sorted(labels_read(dataset)) == sorted(theirs["label"])


def test_a_truncated_arrow_file_is_refused_by_name_wherever_it_ends(hf: Any, tmp_path: Path) -> None:
    made(hf, 6).save_to_disk(tmp_path / "pets")
    file = tmp_path / "pets/data-00000-of-00001.arrow"
    content = file.read_bytes()
    for length in (0, 3, 8, 200, len(content) // 2, len(content) - 40):
        file.write_bytes(content[:length])
        field, message = refusal(tmp_path / "pets")
        assert field == "uri"
        assert file.name in message, length
        assert look(tmp_path / "pets").requests == []


@pytest.mark.attack
def test_an_arrow_file_with_damaged_bytes_never_ends_the_inspection(hf: Any, tmp_path: Path) -> None:
    made(hf, 3).save_to_disk(tmp_path / "pets")
    file = tmp_path / "pets/data-00000-of-00001.arrow"
    content = bytearray(file.read_bytes())
    refused = 0
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        file.write_bytes(damaged)
        with suppress(InvalidRequest):  # any other error fails the test
            inspect(tmp_path / "pets")
            continue
        refused += 1
    assert refused > 5


def test_a_dataset_without_labels_is_unlabeled(hf: Any, tmp_path: Path) -> None:
    made(hf, 3).remove_columns("label").save_to_disk(tmp_path / "pool")
    found = look(tmp_path / "pool")
    assert (found.taken_for, found.requests[0].role) == (
        "a dataset saved by Hugging Face (Arrow), without labels",
        "unlabeled",
    )
    assert counts(found, tmp_path / "parts") == [3]


def test_a_column_of_label_lists_is_refused(hf: Any, tmp_path: Path) -> None:
    features = hf.Features({"image": hf.Image(), "label": hf.Sequence(hf.ClassLabel(names=NAMES))})
    data = {"image": [{"bytes": picture(0), "path": None}], "label": [[0, 1]]}
    hf.Dataset.from_dict(data, features=features).save_to_disk(tmp_path / "multi")
    field, message = refusal(tmp_path / "multi")
    assert (field, "must be integers or strings" in message) == ("label_column", True)


def test_feather_files_are_arrow_with_a_footer(hf: Any, tmp_path: Path) -> None:
    from pyarrow import feather

    feather.write_feather(made(hf, 6).data.table, str(tmp_path / "pets.feather"), compression="lz4")
    os.rename(tmp_path / "pets.feather", tmp_path / "pets.arrow")
    assert labels_read_back(inspect(tmp_path / "pets.arrow")) == NAMES * 2
