"""Pictures of pseudo labels: small, encoded again in another process, of every format of pool, and for nobody else."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service.settings import Settings
from tests.support.made_labels import write_labels
from tests.support.made_shards import manifest, write_tar
from workers.data.errors import BrokenImage
from workers.data.images.small_picture import small_jpeg
from workers.data.shards.single_image import read_image
from workers.data.shards.uri_lists import ListEntry, write_part
from workers.specs.datasets import DatasetManifest, Shard

LABELS = [[0.9, 0.1]] * 6


def png(color: tuple[int, int, int], size: tuple[int, int] = (8, 8), text: str = "") -> bytes:
    stream, info = io.BytesIO(), PngInfo()
    info.add_text("Comment", text)
    Image.new("RGB", size, color).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def shown(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG"
    return picture


@pytest.fixture
def pictures(settings: Settings, finished_run: str, tmp_path: Path) -> str:
    """The path of the labels of generation 1."""
    folder = Path(settings.artifact_root) / "runs" / finished_run
    write_labels(folder, 1, tmp_path / "images" / "unlabeled.parquet", LABELS)
    return f"/runs/{finished_run}/generations/1/labels"


def test_a_picture_is_a_jpeg_of_the_image_in_that_row(client: TestClient, pictures: str) -> None:
    answer = client.get(f"{pictures}/0/3/picture")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert np.abs(np.array(shown(answer.content)).reshape(-1, 3).mean(axis=0) - (103, 0, 99)).max() < 3


@pytest.mark.attack
def test_a_picture_may_run_nothing_and_be_kept_by_its_reader_alone(client: TestClient, pictures: str) -> None:
    headers = client.get(f"{pictures}/0/0/picture").headers
    assert headers["Content-Security-Policy"] == "default-src 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "private, max-age=86400, immutable"


@pytest.mark.parametrize("place", ["0/6", "1/0", "0/99999"])
def test_a_row_that_is_not_there_is_not_found(client: TestClient, pictures: str, place: str) -> None:
    answer = client.get(f"{pictures}/{place}/picture")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.attack
def test_what_is_no_picture_is_not_sent(client: TestClient, pictures: str, tmp_path: Path) -> None:
    file = tmp_path / "images" / "unlabeled.parquet"
    images = pq.read_table(file)["image"].to_pylist()
    script, bomb = b"<svg><script>alert(1)</script></svg>", png((0, 0, 0))[:16] + b"\xff" * 200
    pq.write_table(pa.table({"image": pa.array([script, bomb, None, *images[3:]], pa.binary())}), file)
    for row in range(3):
        answer = client.get(f"{pictures}/0/{row}/picture")
        assert answer.status_code == 404, row
        assert b"script" not in answer.content


def test_an_image_that_is_gone_is_not_found(client: TestClient, pictures: str, tmp_path: Path) -> None:
    (tmp_path / "images" / "unlabeled.parquet").unlink()
    answer = client.get(f"{pictures}/0/0/picture")
    assert answer.status_code == 404
    assert "unlabeled.parquet" not in answer.json()["detail"] or "no such file" in answer.json()["detail"]


@pytest.mark.attack
def test_nothing_of_the_original_but_its_pixels_is_in_the_picture() -> None:
    small = small_jpeg(png((10, 200, 30), size=(1000, 400), text="a secret place"))
    assert shown(small).size == (256, 102)
    assert b"secret" not in small
    assert shown(small_jpeg(png((1, 2, 3), size=(5, 9)))).size == (5, 9)


def _folder(root: Path, images: list[bytes]) -> DatasetManifest:
    (root / "a").mkdir()
    for number, image in enumerate(images):
        (root / "a" / f"{number}.png").write_bytes(image)
    members = tuple(f"a/{number}.png" for number in range(len(images)))
    return manifest("image_folder", Shard(uri=str(root), rows=len(images), members=members), classes=())


def _tar(root: Path, images: list[bytes]) -> DatasetManifest:
    members = [(f"{number}.png", image) for number, image in enumerate(images)]
    return manifest("webdataset", write_tar(root / "a.tar", members, rows=len(images)), classes=())


def _list(root: Path, images: list[bytes]) -> DatasetManifest:
    found = _folder(root, images)
    entries = [ListEntry(name, str(root / name), None) for name in found.shards[0].members]
    write_part(str(root / "part.parquet"), entries)
    return manifest("uri_list", Shard(uri=str(root / "part.parquet"), rows=len(images)), classes=())


def _parquet(root: Path, images: list[bytes]) -> DatasetManifest:
    pq.write_table(pa.table({"image": pa.array(images, pa.binary())}), root / "a.parquet", row_group_size=2)
    return manifest("parquet", Shard(uri=str(root / "a.parquet"), rows=len(images)), classes=(), label_column=None)


@pytest.mark.parametrize("make", [_folder, _tar, _list, _parquet])
def test_one_image_of_any_pool_can_be_read(
    tmp_path: Path, make: Callable[[Path, list[bytes]], DatasetManifest]
) -> None:
    images = [png((number, 0, 0)) for number in range(5)]
    pool = make(tmp_path, images)
    assert [read_image(pool, 0, row) for row in (4, 0, 2)] == [images[4], images[0], images[2]]


@pytest.mark.parametrize("make", [_folder, _list])
def test_an_image_whose_file_is_gone_is_broken(
    tmp_path: Path, make: Callable[[Path, list[bytes]], DatasetManifest]
) -> None:
    pool = make(tmp_path, [png((0, 0, 0))] * 2)
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(BrokenImage):
        read_image(pool, 0, 1)
    assert read_image(pool, 0, 0)
