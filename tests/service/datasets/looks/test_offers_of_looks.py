"""Whatever lies at a place, what a look offers there can be registered as it is."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.looked_at import look, registered
from tests.support.made_datasets import pictures
from tests.support.made_shards import picture

FOLDERS = ("train", "test", "val", "cat", "dog", "a b", "ünï", "data", "images", "unlabeled", "train2017", "label=x")
COCO = (
    '{"images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}], "annotations": '
    '[{"image_id": 1, "category_id": 1}, {"image_id": 2, "category_id": 5}], '
    '"categories": [{"id": 1, "name": "a"}, {"id": 5, "name": "b"}]}'
)
TEXTS = ("", "{}", "hello\n", "path,label\n", "path,label\n1.png,a\n2.png,b\n", "file_name,text\n1.png,x y\n", COCO)


def write_image(file: Path, draws: random.Random) -> None:
    file.write_bytes(picture(draws.randrange(10_000)))


def write_table(file: Path, draws: random.Random) -> None:
    rows = draws.choice((0, 3, 6))
    labels = {"label": pa.array(["a", "b", "c"][:3] * (rows // 3), pa.string())} if draws.random() < 0.7 else {}
    table = pa.table({"image": pa.array(pictures(rows, draws.randrange(10_000)), pa.binary()), **labels})
    if file.suffix == ".parquet":
        pq.write_table(table, file)
    else:
        with pa.OSFile(str(file), "wb") as stream, pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)


def write_text(file: Path, draws: random.Random) -> None:
    file.write_text(draws.choice(TEXTS))


FILES: Mapping[str, Callable[[Path, random.Random], None]] = {
    **dict.fromkeys(("1.png", "2.png", "x y.png"), write_image),
    **dict.fromkeys(("train-0-of-2.parquet", "test.parquet", "d.arrow"), write_table),
    **dict.fromkeys(("metadata.csv", "labels.csv", "labels.json", "instances_train.json", "classes.txt"), write_text),
}


@pytest.mark.parametrize("seed", range(4))
def test_what_a_look_offers_can_be_registered(tmp_path: Path, seed: int) -> None:
    draws = random.Random(seed)
    offered = 0
    for number in range(15):
        root = tmp_path / str(number) / "place"
        names = draws.sample(sorted(FILES), draws.randint(1, 4))
        for _ in range(draws.randint(1, 6)):
            folder = root.joinpath(*(draws.choice(FOLDERS) for _ in range(draws.randint(0, 3))))
            folder.mkdir(parents=True, exist_ok=True)
            for name in draws.sample(names, draws.randint(1, len(names))):
                FILES[name](folder / name, draws)
        found = look(root)
        assert [each.manifest.rows > 0 for each in registered(found, root.parent)] == [True] * len(found.requests)
        offered += len(found.requests)
    assert offered > 5
