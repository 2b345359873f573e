"""Pages of pseudo labels and marks over REST: what is listed, what is said of it, and that later selections follow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from service.settings import Settings
from tests.support.made_labels import select_again, write_labels

FIRST = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3], [0.0, 0.0]]
SECOND = [[0.95, 0.05], [0.1, 0.9], [0.3, 0.7], [0.8, 0.2], [0.99, 0.01], [0.0, 0.0]]


@pytest.fixture
def run_folder(settings: Settings, finished_run: str) -> Path:
    return Path(settings.artifact_root) / "runs" / finished_run


@pytest.fixture
def labeled_run(finished_run: str, run_folder: Path, tmp_path: Path) -> str:
    """A run with two generations, whose label files and selections are there. Row 4 is an evaluation image."""
    for generation, probabilities in ((1, FIRST), (2, SECOND)):
        write_labels(run_folder, generation, tmp_path / "images" / "unlabeled.parquet", probabilities, held_out=4)
        select_again(run_folder, generation)
    return finished_run


def page(client: TestClient, run: str, generation: int = 1, **asked: str | int) -> dict[str, Any]:
    answer = client.get(f"/runs/{run}/generations/{generation}/labels", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(page: dict[str, Any]) -> list[int]:
    return [item["row"] for item in page["items"]]


def mark(
    client: TestClient, run: str, row: int, verdict: str, name: str | None = None, generation: int = 1
) -> dict[str, Any]:
    body = {"verdict": verdict} if name is None else {"verdict": verdict, "class": name}
    answer = client.put(f"/runs/{run}/generations/{generation}/labels/0/{row}/mark", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_the_least_confident_labels_come_first_with_all_that_is_known(client: TestClient, labeled_run: str) -> None:
    found = page(client, labeled_run)
    assert rows(found) == [3, 1, 2, 0], "neither the broken image nor the evaluation image"
    assert (found["made_from"], found["rows"], found["next_cursor"], found["notes"]) == ("list", 4, None, [])
    first = found["items"][0]
    assert first["label"] == "dog"
    assert first["confidence"] == pytest.approx(0.55)
    assert first["top_classes"][1] == {"name": "cat", "probability": pytest.approx(0.45, abs=1e-3)}
    assert first["key"] == "unlabeled.parquet:3"
    assert first["previous"] is None
    assert first["student"] == {"generation": 2, "label": "cat", "confidence": pytest.approx(0.8)}
    assert first["selected"] is True
    assert first["copies"] >= 1
    assert first["mark"] is None
    assert first["picture"] == f"/runs/{labeled_run}/generations/1/labels/0/3/picture"


def test_changed_labels_and_disagreements_are_the_same_rows_from_both_sides(
    client: TestClient, labeled_run: str
) -> None:
    changed = page(client, labeled_run, 2, order="changed")
    assert rows(changed) == [1, 3], "the most confident new label first"
    assert [item["previous"]["label"] for item in changed["items"]] == ["cat", "dog"]
    assert rows(page(client, labeled_run, 2, order="changed", **{"class": "dog"})) == [1]
    disagrees = page(client, labeled_run, 1, order="disagrees")
    assert rows(disagrees) == [1, 3]
    assert [item["student"]["label"] for item in disagrees["items"]] == ["dog", "cat"]
    assert rows(page(client, labeled_run, 1, order="disagrees", **{"class": "dog"})) == [3]


def test_an_order_without_anything_to_compare_says_so(client: TestClient, labeled_run: str) -> None:
    first = page(client, labeled_run, 1, order="changed")
    assert (first["items"], len(first["notes"])) == ([], 1)
    assert "first that labels" in first["notes"][0]
    last = page(client, labeled_run, 2, order="disagrees")
    assert last["items"] == []
    assert "add a generation" in last["notes"][0]
    assert "add a generation" in page(client, labeled_run, 2)["notes"][0], "there is no later opinion either"


def test_pages_follow_one_another_and_fit_their_listing_alone(client: TestClient, labeled_run: str) -> None:
    first = page(client, labeled_run, limit=3)
    second = page(client, labeled_run, limit=3, cursor=first["next_cursor"])
    assert (rows(first), rows(second)) == ([3, 1, 2], [0])
    assert second["next_cursor"] is None
    path = f"/runs/{labeled_run}/generations/1/labels"
    for other in ({"class": "cat"}, {"selected": "true"}, {"order": "changed"}):
        answer = client.get(path, params={"limit": 3, "cursor": first["next_cursor"], **other})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")
    assert client.get(path, params={"cursor": "999999999.0123456789abcdef"}).status_code == 422


def test_only_selected_images_or_only_others_are_shown(client: TestClient, labeled_run: str, run_folder: Path) -> None:
    both = page(client, labeled_run)
    chosen, others = (rows(page(client, labeled_run, selected=each)) for each in ("true", "false"))
    assert sorted(chosen + others) == sorted(rows(both))
    assert chosen == [item["row"] for item in both["items"] if item["selected"]]


def test_a_class_that_the_run_has_not_is_refused(client: TestClient, labeled_run: str) -> None:
    answer = client.get(f"/runs/{labeled_run}/generations/1/labels", params={"class": "cow"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "class")


@pytest.mark.parametrize("generation", [1, 2])
def test_a_selection_of_an_earlier_version_is_sampled_and_that_is_said(
    client: TestClient, labeled_run: str, run_folder: Path, generation: int
) -> None:
    listed = {order: rows(page(client, labeled_run, generation, order=order)) for order in ("uncertain", "changed")}
    for number in (1, 2):
        for file in (run_folder / f"gen-{number}" / "select" / "review").iterdir():
            file.unlink()
    for order, expected in listed.items():
        found = page(client, labeled_run, generation, order=order)
        assert rows(found) == expected
        if expected:
            assert found["made_from"] == "sample"
            assert "a sample of 1 of 1 shards" in found["notes"][0]


def test_before_there_are_labels_and_after_they_are_deleted_there_is_a_conflict(
    client: TestClient, labeled_run: str, run_folder: Path
) -> None:
    assert client.get(f"/runs/{labeled_run}/generations/0/labels").status_code == 404
    assert client.get("/runs/run-0000000000/generations/1/labels").status_code == 404
    (run_folder / "gen-1" / "label" / "part-00000.parquet").unlink()
    answer = client.get(f"/runs/{labeled_run}/generations/1/labels")
    assert answer.status_code == 409
    assert "retention" in answer.json()["detail"]


def test_a_mark_is_shown_wherever_the_image_is(client: TestClient, labeled_run: str) -> None:
    made = mark(client, labeled_run, 3, "class", "cat")
    assert (made["verdict"], made["classes"], made["row"], made["key"]) == ("class", ["cat"], 3, "unlabeled.parquet:3")
    assert made["marked_by"]
    assert page(client, labeled_run)["items"][0]["mark"] == made
    in_second = {item["row"]: item["mark"] for item in page(client, labeled_run, 2)["items"]}
    assert in_second[3] == made
    assert client.get(f"/runs/{labeled_run}/marks").json()["items"] == [made]


def test_what_is_said_last_counts_but_rejected_classes_add_up(client: TestClient, labeled_run: str) -> None:
    assert mark(client, labeled_run, 3, "wrong")["classes"] == ["dog"]
    assert mark(client, labeled_run, 3, "wrong", generation=2)["classes"] == ["cat", "dog"]
    assert mark(client, labeled_run, 3, "right")["classes"] == ["dog"]
    assert mark(client, labeled_run, 3, "wrong", generation=2)["classes"] == ["cat"]
    assert len(client.get(f"/runs/{labeled_run}/marks").json()["items"]) == 1


def test_a_mark_can_be_taken_back(client: TestClient, labeled_run: str) -> None:
    made = mark(client, labeled_run, 0, "right")
    path = f"/runs/{labeled_run}/generations/1/labels/0/0/mark"
    assert [client.delete(path).status_code for _ in range(2)] == [204, 204]
    assert client.get(f"/runs/{labeled_run}/marks").json()["items"] == []
    mark(client, labeled_run, 0, "right")
    by_image = f"/runs/{labeled_run}/marks/{made['content_hash']}"
    assert [client.delete(by_image).status_code for _ in range(2)] == [204, 404]


@pytest.mark.parametrize(
    ("row", "body", "status", "said"),
    [
        (0, {"verdict": "class", "class": "cow"}, 422, "none of the run's classes"),
        (0, {"verdict": "class"}, 422, "name the image's class"),
        (0, {"verdict": "right", "class": "cat"}, 422, "only the verdict class"),
        (0, {"verdict": "maybe"}, 422, "right"),
        (5, {"verdict": "right"}, 409, "broken"),
        (4, {"verdict": "right"}, 409, "evaluation set"),
        (6, {"verdict": "right"}, 404, "0/6"),
    ],
)
def test_what_no_student_could_follow_is_refused(
    client: TestClient, labeled_run: str, row: int, body: dict[str, str], status: int, said: str
) -> None:
    answer = client.put(f"/runs/{labeled_run}/generations/1/labels/0/{row}/mark", json=body)
    assert answer.status_code == status
    assert said in answer.text
    assert client.get(f"/runs/{labeled_run}/marks").json()["items"] == []


def test_the_next_generation_follows_marks_and_later_ones_change_nothing(
    client: TestClient, labeled_run: str, run_folder: Path, reconcile: Callable[[], None], tmp_path: Path
) -> None:
    mark(client, labeled_run, 3, "class", "cat")
    mark(client, labeled_run, 0, "wrong")
    assert client.post(f"/runs/{labeled_run}/generations", json={}).status_code == 201
    reconcile()
    mark(client, labeled_run, 2, "right")  # the selection was submitted before
    write_labels(run_folder, 3, tmp_path / "images" / "unlabeled.parquet", FIRST)
    result = select_again(run_folder, 3)
    assert result.marks is not None
    assert result.marks.model_dump() == {"marks": 2, "given": 1, "changed": 1, "wrong": 1, "not_found": 0}
    kept = {item["row"]: item["selected"] for item in page(client, labeled_run, 3)["items"]}
    assert kept[3] is True
    assert kept[0] is False


def test_another_attempt_follows_the_marks_of_the_first(
    client: TestClient, labeled_run: str, run_folder: Path, reconcile: Callable[[], None], ray: Any
) -> None:
    """What the first attempt has written stays valid: also where nothing was marked at that time."""
    ray.failing = {"select": "out of memory"}
    assert client.post(f"/runs/{labeled_run}/generations", json={}).status_code == 201
    reconcile()
    mark(client, labeled_run, 3, "right")
    ray.failing = {}
    client.post(f"/runs/{labeled_run}/retry")
    reconcile()
    specs = run_folder / "gen-3" / "select" / "specs"
    assert len(list(specs.iterdir())) > 1
    assert all('"marks_uri":null' in file.read_text() for file in specs.iterdir())


def test_marked_images_register_as_labeled_data(client: TestClient, labeled_run: str, tmp_path: Path) -> None:
    path = f"/runs/{labeled_run}/marks/export"
    assert client.get(path).status_code == 409, "nothing is marked"
    mark(client, labeled_run, 0, "right")
    mark(client, labeled_run, 3, "class", "cat")
    mark(client, labeled_run, 1, "class", "dog")
    mark(client, labeled_run, 2, "wrong")
    refused = client.get(path, params={"format": "csv"})
    assert refused.status_code == 409
    assert "format=parquet" in refused.json()["detail"]

    file = tmp_path / "marks.parquet"
    file.write_bytes(client.get(path, params={"format": "parquet"}).content)
    images = pq.read_table(tmp_path / "images" / "unlabeled.parquet")["image"].to_pylist()
    exported = pq.read_table(file).to_pylist()
    assert [(row["image"], row["label"]) for row in exported] == [
        (images[0], "cat"), (images[1], "dog"), (images[3], "cat")
    ]  # fmt: skip
    made = client.post("/datasets", json={"name": "marked", "role": "labeled", "uri": str(file)})
    assert made.status_code == 201, made.text
    assert made.json()["class_counts"] == {"cat": 2, "dog": 1}
