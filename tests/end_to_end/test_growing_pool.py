"""A pool that grows by a fifth, and imported labels, on a real Ray: what is labeled again, and what students learn."""

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from noisy_student.client import Client
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, wait_until

pytestmark = pytest.mark.long

SHARDS, ROWS = 6, 60
"""The pool once it has grown: by the last of the shards."""


def test_a_grown_pool_is_labeled_where_it_is_new_and_its_labels_may_be_brought_to_another_run(
    client: Client, small_run: SmallRun, digits: dict[str, str], tmp_path: Path
) -> None:
    images = pq.read_table(sorted(Path(client.datasets.get(digits["unlabeled"]).uri).glob("*.parquet")))
    pool = tmp_path / "pool"
    pool.mkdir()

    def write(shard: int) -> None:
        pq.write_table(images.slice(shard * ROWS, ROWS), pool / f"{shard}.parquet")

    for shard in range(SHARDS - 1):
        write(shard)
    first = client.datasets.create({"name": "pool", "role": "unlabeled", "uri": str(pool)})
    body = small_run(teacher_steps=40, student_steps=20)
    datasets = {**body["datasets"], "unlabeled": first.id, "pseudo_label_truth": None}
    run = wait_until(client, client.runs.create({**body, "datasets": datasets}).id, has_ended)
    assert run.state == "succeeded", run.state_reason

    write(SHARDS - 1)
    grown = client.datasets.add_version(first.id)
    assert (grown.rows, grown.shards, grown.version) == (SHARDS * ROWS, SHARDS, 2)
    client.runs.add_generation(run.id, {"unlabeled": grown.id, "teacher": 0})
    label = result_of(client, run.id, 2, "label")
    assert (label["images"], label["images_reused"], label["shards_reused"]) == (SHARDS * ROWS, 300, 5)
    assert label["reused_from"] == [f"generation 1 of {run.id}"]
    folders = [Path(client.stages.get(run.id, number, "label").folder_uri) for number in (1, 2)]
    for shard in range(SHARDS - 1):
        name = f"part-{shard:05d}.parquet"
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert any(event.kind == "labels_reused" for event in client.runs.events(run.id))

    rows = [
        row for shard in range(SHARDS) for row in pq.read_table(folders[1] / f"part-{shard:05d}.parquet").to_pylist()
    ]
    kept = [row for row in rows if row["label"] is not None][:-10]
    random.Random(5).shuffle(kept)
    columns = {name: [row[name] for row in kept] for name in ("key", "label", "confidence")}
    pd.DataFrame(columns).to_parquet(tmp_path / "labels.parquet")
    brought = client.runs.create(
        {
            **{name: value for name, value in body.items() if name not in ("teacher_model", "teacher_recipe")},
            "datasets": {**datasets, "unlabeled": grown.id},
            "teacher": {"model": f"{run.id}-g0"},
            "labeling": {"imported": {"uri": str(tmp_path / "labels.parquet")}},
        }
    )
    finished = wait_until(client, brought.id, has_ended)
    assert finished.state == "succeeded", finished.state_reason
    imported = result_of(client, brought.id, 1, "label")
    assert (imported["imported_labels"], imported["imported_unknown"]) == (len(kept), 0)
    assert imported["labeled"] == len(kept)
    folder = Path(client.stages.get(brought.id, 1, "label").folder_uri)
    said = {row["key"]: row["label"] for row in kept}
    for shard in range(SHARDS):
        for row in pq.read_table(folder / f"part-{shard:05d}.parquet").to_pylist():
            assert row["label"] == said.get(row["key"])
    selected = result_of(client, brought.id, 1, "select")
    assert selected["dropped_without_label"] == imported["without_label"]
    assert client.models.get(f"{brought.id}-g1").test_top1 is not None


def result_of(client: Client, run_id: str, generation: int, stage: Any) -> dict[str, Any]:
    """The result of a stage, once it has one."""

    def done(run: RunView) -> bool:
        return has_ended(run) or client.stages.get(run_id, generation, stage).result is not None

    wait_until(client, run_id, done)
    found = client.stages.get(run_id, generation, stage)
    assert found.result is not None, found
    return dict(found.result)
