"""On a real Ray: labels are listed, looked at and marked while a run goes on, and its next generation follows."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from noisy_student.client import Client
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView
from tests.end_to_end.conftest import SmallRun, has_ended, result_of, stages_of, wait_until
from workers.data.marks import SelectionMarks
from workers.data.soft_labels import ListedClasses

pytestmark = pytest.mark.long


def test_the_next_generation_follows_what_people_say(client: Client, stack: LocalStack, small_run: SmallRun) -> None:
    config = small_run(generations=2, student_models=["test_resnet"])
    run: RunView = client.runs.create(config)

    def is_labeled(seen: RunView) -> bool:
        assert not has_ended(seen), seen.state_reason
        return any(stage.id.endswith("g1-select") and stage.state == "succeeded" for stage in stages_of(seen))

    wait_until(client, run.id, is_labeled)
    page = client.labels.list(run.id, 1, limit=3)
    assert page.made_from == "list"
    confidences = [each.confidence for each in page.items]
    assert confidences == sorted(confidences)
    wrong, other, right = page.items
    picture = Image.open(io.BytesIO(client.labels.picture(run.id, 1, other.shard, other.row)))
    assert (picture.format, picture.size) == ("JPEG", (28, 28))
    given = next(each.name for each in other.top_classes if each.name != other.label)
    client.labels.mark(run.id, 1, wrong.shard, wrong.row, {"verdict": "wrong"})
    client.labels.mark(run.id, 1, other.shard, other.row, {"verdict": "class", "class": given})
    client.labels.mark(run.id, 1, right.shard, right.row, {"verdict": "right"})

    run = wait_until(client, run.id, has_ended)
    assert run.state == "succeeded", run.state_reason
    select = next(stage for stage in stages_of(run) if stage.id.endswith("g2-select"))
    marks = result_of(select)["marks"]
    assert (marks["marks"], marks["given"], marks["not_found"]) == (3, 2, 0)
    folder = stack.home / "artifacts" / "runs" / run.id / "gen-2"
    place = f"part-{other.shard:05d}.parquet"
    assert other.row in pq.read_table(folder / "select" / place)["row"].to_pylist()
    listed = ListedClasses.of(pq.read_table(folder / "label" / place))
    followed = SelectionMarks.of(str(folder / "select")).applied_to(other.shard, listed)
    classes = client.datasets.get(config["datasets"]["labeled"]).classes
    assert classes[followed.classes[other.row, 0]] == given
    assert followed.probabilities[other.row, 0] == 1

    later = client.labels.list(run.id, 2, "changed", limit=100)
    assert all(each.previous is not None and each.previous.label != each.label for each in later.items)
    disagrees = client.labels.list(run.id, 1, "disagrees", limit=100)
    assert {(each.shard, each.row) for each in disagrees.items} == {(each.shard, each.row) for each in later.items}
    assert {each.key for each in client.labels.marks(run.id)} == {wrong.key, other.key, right.key}
    assert Path(folder / "select" / "marks.parquet").is_file()
