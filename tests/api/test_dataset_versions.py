"""POST /datasets/{id}/versions adds the files that are new, and leaves the dataset and its readers as they were."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from service.artifacts.layout import ArtifactLayout
from service.settings import Settings
from tests.support.made_datasets import pictures, write_files, write_parquet, write_tar
from workers.data.hashes import read_hash_rows, read_hashes
from workers.data.images.decode import content_hash
from workers.data.shards.shard_readers import load_manifest, read_shard


@pytest.fixture
def layout(settings: Settings) -> ArtifactLayout:
    return ArtifactLayout(str(settings.artifact_root))


def _pool(folder: Path, name: str, start: int, count: int = 3, **columns: list[str]) -> Path:
    keys = [f"{name}-{number}" for number in range(count)]
    every: dict[str, object] = {"image": pictures(count, start), "key": keys, **columns}
    return write_parquet(folder / f"{name}.parquet", 4, **every)


def _register(client: TestClient, uri: Path, role: str = "unlabeled", **fields: object) -> dict[str, Any]:
    answer = client.post("/datasets", json={"name": "pool", "role": role, "uri": str(uri), **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _grow(client: TestClient, dataset: str, uri: Path | None = None, key: str = "") -> dict[str, Any]:
    body = {} if uri is None else {"uri": str(uri)}
    answer = client.post(f"/datasets/{dataset}/versions", json=body, headers={"Idempotency-Key": key} if key else {})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/datasets/{found['id']}"
    return found


def _refused(client: TestClient, dataset: str, uri: Path | None = None) -> str:
    answer = client.post(f"/datasets/{dataset}/versions", json={} if uri is None else {"uri": str(uri)})
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["field"] == "uri"
    return str(error["message"])


def _keys(layout: ArtifactLayout, dataset: str) -> list[str]:
    manifest = load_manifest(layout.manifest(dataset))
    return [key for index in range(len(manifest.shards)) for key in read_shard(manifest, index).keys]


def test_a_version_holds_the_former_shards_in_order_and_then_the_new_ones(
    client: TestClient, layout: ArtifactLayout, tmp_path: Path
) -> None:
    _pool(tmp_path / "pool", "m", 0)
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "pool", "z", 3)
    _pool(tmp_path / "pool", "a", 6, count=2)  # sorts before the old file, and still comes after it
    second = _grow(client, first["id"])
    assert (second["version"], second["previous"], second["rows"], second["shards"]) == (2, first["id"], 8, 3)
    assert (first["version"], first["previous"]) == (1, None)
    assert _keys(layout, second["id"]) == ["m-0", "m-1", "m-2", "a-0", "a-1", "z-0", "z-1", "z-2"]
    assert _keys(layout, first["id"]) == ["m-0", "m-1", "m-2"]
    assert client.get(f"/datasets/{first['id']}").json() == first
    assert second["digest"] not in (None, first["digest"])
    assert "1 file(s) are in the version before already, and are not read again" in second["warnings"]


def test_the_images_of_all_versions_are_known_by_their_hashes_and_rows(
    client: TestClient, layout: ArtifactLayout, tmp_path: Path
) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "pool", "b", 2)  # its first picture is the last one of the other file
    second = _grow(client, first["id"])
    every = [content_hash(picture) for picture in pictures(5)]
    hashes = read_hashes(layout.hashes(second["id"]))
    assert [value.ljust(16, b"\0") for value in hashes.tolist()] == sorted(every)
    rows = read_hash_rows(layout.hash_rows(second["id"]))
    assert rows is not None
    where = {every[0]: 0, every[1]: 1, every[2]: 2, every[3]: 4, every[4]: 5}
    assert rows.tolist() == [where[value] for value in sorted(every)]
    assert "1 of the new image(s) are in the version before already, byte for byte" in second["warnings"]


def test_files_of_another_place_are_added_and_the_next_version_looks_there(client: TestClient, tmp_path: Path) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "more", "b", 3)
    second = _grow(client, first["id"], tmp_path / "more")
    _pool(tmp_path / "more", "c", 6)
    third = _grow(client, second["id"])
    assert (third["version"], third["rows"], third["uri"]) == (3, 9, str(tmp_path / "more"))
    for each in (first, second, third):
        listed = client.get(f"/datasets/{each['id']}/versions").json()["items"]
        assert [one["id"] for one in listed] == [third["id"], second["id"], first["id"]]
    page = client.get(f"/datasets/{first['id']}/versions", params={"limit": 2}).json()
    rest = client.get(f"/datasets/{first['id']}/versions", params={"cursor": page["next_cursor"]}).json()
    assert [one["version"] for one in page["items"] + rest["items"]] == [3, 2, 1]


def test_a_file_that_changed_or_vanished_is_refused_by_name(client: TestClient, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        _pool(tmp_path / "pool", name, 3 * number)
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "pool", "d", 9)
    status = (tmp_path / "pool/b.parquet").stat()
    os.utime(tmp_path / "pool/b.parquet", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    (tmp_path / "pool/c.parquet").unlink()
    message = _refused(client, first["id"])
    assert "1 have vanished: " in message
    assert "c.parquet" in message
    assert "1 have changed: " in message
    assert "b.parquet" in message
    assert "a.parquet" not in message
    assert "d.parquet" not in message


@pytest.mark.parametrize("link", [False, True])
def test_a_place_without_new_files_is_refused(client: TestClient, tmp_path: Path, link: bool) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    (tmp_path / "link").symlink_to(tmp_path / "pool")
    assert "none of its 1 file(s) is new" in _refused(client, first["id"], tmp_path / "link" if link else None)
    assert "no such file" in _refused(client, first["id"], tmp_path / "absent")


def test_new_files_without_the_columns_of_the_old_ones_are_refused_by_name(client: TestClient, tmp_path: Path) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    write_parquet(tmp_path / "pool" / "b.parquet", image=pictures(2, 5))
    message = _refused(client, first["id"])
    assert "b.parquet" in message
    assert "'key'" in message


def test_new_files_have_no_keys_where_the_old_ones_have_none(
    client: TestClient, layout: ArtifactLayout, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "pool" / "a.parquet", image=pictures(2))
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "pool", "b", 2)
    second = _grow(client, first["id"])
    assert _keys(layout, second["id"])[2:] == ["b.parquet:0", "b.parquet:1", "b.parquet:2"]


def test_a_version_is_continued_once(client: TestClient, tmp_path: Path) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "pool", "b", 3)
    with ThreadPoolExecutor(2) as threads:
        path = f"/datasets/{first['id']}/versions"
        answers = list(threads.map(lambda _: client.post(path, json={}), range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    late = client.post(path, json={})
    [second] = [answer.json() for answer in answers if answer.status_code == 201]
    assert late.status_code == 409
    assert second["id"] in late.json()["detail"]
    folders = {folder.name for folder in (tmp_path / "home/artifacts/datasets").iterdir()}
    assert folders == {first["id"], second["id"]}, "the refused request leaves no files"


def test_a_repeated_request_gets_the_first_answer(client: TestClient, tmp_path: Path) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    _pool(tmp_path / "pool", "b", 3)
    assert _grow(client, first["id"], key="once") == _grow(client, first["id"], key="once")
    other = client.post(
        f"/datasets/{first['id']}/versions", json={"uri": "/elsewhere"}, headers={"Idempotency-Key": "once"}
    )
    assert other.status_code == 409


def test_labeled_sets_grow_too_and_keep_their_classes(
    client: TestClient, layout: ArtifactLayout, tmp_path: Path
) -> None:
    _pool(tmp_path / "set", "a", 0, label=["dog", "cat", "dog"])
    first = _register(client, tmp_path / "set", "labeled")
    _pool(tmp_path / "set", "b", 3, label=["cat", "cat", "cat"])
    second = _grow(client, first["id"])
    assert (second["classes"], second["class_counts"]) == (["cat", "dog"], {"cat": 4, "dog": 2})
    manifest = load_manifest(layout.manifest(second["id"]))
    assert [read_shard(manifest, index).labels for index in range(2)] == [[1, 0, 1], [0, 0, 0]]
    _pool(tmp_path / "set", "c", 6, label=["cat", "fox", "cat"])
    message = _refused(client, second["id"])
    assert "c.parquet row 1" in message
    assert "none of the 2 classes" in message


def test_folders_tar_files_and_lists_grow(client: TestClient, layout: ArtifactLayout, tmp_path: Path) -> None:
    one, two = pictures(2)
    grown = {}
    ways: dict[str, Callable[[Path, int, bytes], Path]] = {
        "folder": lambda folder, number, image: write_files(folder, {f"{number}.png": image}),
        "tar": lambda folder, number, image: write_tar(folder / f"{number}.tar", [(f"{number}.png", image)]),
    }
    for name, add in ways.items():
        folder = tmp_path / name
        folder.mkdir()
        add(folder, 1, one)
        first = _register(client, folder)
        add(folder, 2, two)
        grown[name] = _keys(layout, _grow(client, first["id"])["id"])
    write_files(tmp_path / "images", {"1.png": one, "2.png": two})
    (tmp_path / "one.txt").write_text("images/1.png\n")
    (tmp_path / "two.txt").write_text("images/2.png\n")
    first = _register(client, tmp_path / "one.txt", format="uri_list")
    grown["list"] = _keys(layout, _grow(client, first["id"], tmp_path / "two.txt")["id"])
    assert grown == {"folder": ["1.png", "2.png"], "tar": ["1", "2"], "list": ["images/1.png", "images/2.png"]}
    with (tmp_path / "two.txt").open("a") as file:
        file.write("images/1.png\n")
    newest = client.get(f"/datasets/{first['id']}/versions").json()["items"][0]
    message = _refused(client, newest["id"], tmp_path / "two.txt")
    assert "two.txt" in message
    assert "a list of their own" in message


def test_a_dataset_of_an_earlier_release_grows_as_well(
    client: TestClient, layout: ArtifactLayout, tmp_path: Path
) -> None:
    _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    Path(layout.registered_files(first["id"])).unlink()
    _pool(tmp_path / "pool", "b", 3)
    second = _grow(client, first["id"])
    assert _keys(layout, second["id"]) == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2"]
    shutil.rmtree(tmp_path / "pool")
    _pool(tmp_path / "more", "c", 6)
    assert "2 have vanished" in _refused(client, second["id"], tmp_path / "more")


def test_a_dataset_that_is_not_there_is_not_found(client: TestClient) -> None:
    assert client.post("/datasets/ds-nothing/versions", json={}).status_code == 404
    assert client.get("/datasets/ds-nothing/versions").status_code == 404


def test_new_files_are_not_read_together_with_the_old_ones(client: TestClient, tmp_path: Path) -> None:
    """The old file cannot even be read any more, and that is no matter as long as it looks unchanged."""
    file = _pool(tmp_path / "pool", "a", 0)
    first = _register(client, tmp_path / "pool")
    status = file.stat()
    file.write_bytes(b"\0" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    pq.write_table(pa.table({"image": pictures(2, 7), "key": ["x", "y"]}), tmp_path / "pool" / "b.parquet")
    assert _grow(client, first["id"])["rows"] == 5
