"""POST /datasets takes parts of a place, leaves out what other datasets have, and may return an earlier dataset."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings

Write = Callable[..., Path]


@pytest.fixture
def add(client: TestClient, write_images: Write) -> Callable[..., dict[str, Any]]:
    """A function that registers 40 pictures of two classes, the same each time, with the given fields."""
    file = write_images("pets", 0, rows=40)

    def add(role: str = "labeled", **fields: Any) -> dict[str, Any]:
        answer = client.post("/datasets", json={"name": "pets", "role": role, "uri": str(file), **fields})
        assert answer.status_code == 201, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    return add


def _part(name: str) -> dict[str, Any]:
    return {"name": name, "validation_share": 0.1, "test_share": 0.2, "seed": 3}


def test_the_parts_of_a_place_make_a_run(
    client: TestClient,
    add: Callable[..., dict[str, Any]],
    run_config: dict[str, Any],
    reconcile: Callable[[], None],
) -> None:
    train = add(part=_part("train"))
    validation, test = (add("evaluation", part=_part(name)) for name in ("validation", "test"))
    assert [each["rows"] for each in (train, validation, test)] == [28, 4, 8]
    assert (train["part"], train["picture_side"]) == (_part("train"), 8)
    assert client.get(f"/datasets/{train['id']}").json() == train
    pool = add("unlabeled", without=[train["id"], validation["id"]])
    assert pool["rows"] == 8
    assert any("32 image(s) are left out" in warning for warning in pool["warnings"])
    run_config["datasets"] |= {"labeled": train["id"], "validation": validation["id"], "test": test["id"]}
    answer = client.post("/runs", json=run_config)
    assert answer.status_code == 201
    reconcile()
    lineage = client.get(f"/models/{answer.json()['id']}-g0/lineage").json()
    split_off = {each["part"]: each["split_off"] for each in lineage["datasets"]}
    assert (split_off["labeled"], split_off["test"], split_off["unlabeled"]) == (_part("train"), _part("test"), None)


def test_the_same_content_at_the_same_place_is_registered_once_where_that_is_asked(
    client: TestClient, add: Callable[..., dict[str, Any]], settings: Settings
) -> None:
    first = add(reuse=True)
    assert add(reuse=True, name="another name") == first
    assert add()["id"] != first["id"]
    test = add("evaluation", part=_part("test"), reuse=True)
    assert add("evaluation", part=_part("test"), reuse=True) == test
    others = [add("evaluation", reuse=True), add("evaluation", part={**_part("test"), "seed": 4}, reuse=True)]
    assert len({test["id"], *(other["id"] for other in others)}) == 3
    folders = Path(settings.artifact_root) / "datasets"
    assert len(list(folders.iterdir())) == len(client.get("/datasets").json()["items"]) == 5


@pytest.mark.parametrize("kind", ["image_folder", "uri_list"])
def test_a_file_that_has_another_name_now_makes_another_dataset(
    client: TestClient, tmp_path: Path, write_pictures: Callable[[Path], None], kind: str
) -> None:
    write_pictures(tmp_path / "set")
    uri = tmp_path / "set" / "list.csv" if kind == "uri_list" else tmp_path / "set"
    body = {"name": "pets", "role": "labeled", "uri": str(uri), "format": kind, "reuse": True}
    first = client.post("/datasets", json=body).json()
    assert client.post("/datasets", json=body).json() == first
    (tmp_path / "set/dog/3.png").rename(tmp_path / "set/dog/4.png")
    (tmp_path / "set/list.csv").write_text((tmp_path / "set/list.csv").read_text().replace("dog/3.png", "dog/4.png"))
    second = client.post("/datasets", json=body).json()
    assert second["id"] != first["id"]
    assert second["digest"] == first["digest"]


@pytest.fixture
def write_pictures(write_images: Write) -> Callable[[Path], None]:
    """A function that writes four pictures of two classes into class folders, with a list of them."""
    import pyarrow.parquet as pq

    def write(folder: Path) -> None:
        rows = pq.read_table(write_images("pets", 0)).to_pylist()
        lines = ["uri,label"]
        for number, row in enumerate(rows):
            file = folder / row["label"] / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(row["image"])
            lines.append(f"{file.relative_to(folder)},{row['label']}")
        (folder / "list.csv").write_text("\n".join(lines))

    return write


def test_a_dataset_to_leave_out_must_be_there(client: TestClient, write_images: Write) -> None:
    body = {"name": "pets", "role": "unlabeled", "uri": str(write_images("pets", 0)), "without": ["ds-no"]}
    answer = client.post("/datasets", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "without.0", "message": "there is no dataset 'ds-no'"}]


def test_an_unlabeled_place_has_no_parts(client: TestClient, write_images: Write) -> None:
    body = {"name": "pets", "role": "unlabeled", "uri": str(write_images("pets", 0)), "part": {"name": "train"}}
    answer = client.post("/datasets", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "part"
