"""A file replaced before it is opened: whoever may write below a root must not make the service read others' files."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.config.datasets import DatasetRequest
from service.datasets.inspection import inspection
from service.datasets.places.location import Location, locate
from service.datasets.registration.inspector import _answer
from service.datasets.registration.messages import DatasetSummary, InspectionJob, Refusal
from tests.service.datasets.registration.hostile_files import write_pictures
from workers.data.dataset_roots import DatasetRoots

pytestmark = pytest.mark.attack

_LIMIT = 1 << 30


def write_parquet(file: Path, pictures: list[Path]) -> None:
    rows = {
        "image": [each.read_bytes() for each in pictures],
        "label": [str(number % 2) for number in range(len(pictures))],
    }
    pq.write_table(pa.table(rows), file)


def write_list(file: Path, pictures: list[Path]) -> None:
    file.write_text("\n".join(["uri,label", *(f"{each},{number % 2}" for number, each in enumerate(pictures))]))


def write_tar(file: Path, pictures: list[Path]) -> None:
    with tarfile.open(file, "w") as tar:
        for number, each in enumerate(pictures):
            tar.add(each, f"{number}.{each.suffix[1:]}")
            label = tarfile.TarInfo(f"{number}.cls")
            label.size = 1
            tar.addfile(label, io.BytesIO(str(number % 2).encode()))


def copy_pictures(file: Path, pictures: list[Path]) -> None:
    file.write_bytes(pictures[0].read_bytes())
    (other := file.parent.parent / "other").mkdir()
    (other / "b.png").write_bytes(pictures[1].read_bytes())


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.parquet", write_parquet), ("a.csv", write_list), ("a.tar", write_tar), ("secret/a.png", copy_pictures)],
    ids=["parquet", "list", "tar", "picture"],
)
def test_a_link_in_the_place_of_a_file_that_was_judged_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[Path, list[Path]], None]
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    write_pictures(mine / "pictures")
    pictures = sorted((mine / "pictures").iterdir())
    for folder in (mine / "data", theirs):
        (folder / name).parent.mkdir(parents=True)
        write(folder / name, pictures)

    assert isinstance(register(tmp_path), DatasetSummary)

    def swapped(uri: str, roots: DatasetRoots) -> Location:
        location = locate(uri, roots)
        (mine / "data" / name).unlink()
        (mine / "data" / name).symlink_to(theirs / name)
        return location

    monkeypatch.setattr(inspection, "locate", swapped)
    answer = register(tmp_path)
    assert isinstance(answer, Refusal)
    assert "outside of the places allowed" in answer.message


@pytest.mark.parametrize("linked", ["_delta_log", "_delta_log/00000000000000000000.json"])
def test_a_log_of_a_table_that_lies_elsewhere_is_not_read(tmp_path: Path, linked: str) -> None:
    mine, theirs = tmp_path / "mine" / "data", tmp_path / "theirs" / "_delta_log"
    write_pictures(tmp_path / "pictures")
    for folder in (mine, theirs):
        folder.mkdir(parents=True)
    write_parquet(mine / "a.parquet", sorted((tmp_path / "pictures").iterdir()))
    (theirs / "00000000000000000000.json").write_text(json.dumps({"add": {"path": "a.parquet"}}))
    link = mine / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(theirs if linked == "_delta_log" else theirs / link.name)

    answer = register(tmp_path)
    assert isinstance(answer, Refusal)
    assert "outside of the places allowed" in answer.message


def register(folder: Path) -> object:
    request = DatasetRequest(name="x", role="labeled", uri=str(folder / "mine" / "data"), format=None)
    if (folder / "mine" / "data" / "a.csv").exists():
        request = request.model_copy(update={"format": "uri_list"})
    roots = DatasetRoots((str(folder / "mine"),))
    job = InspectionJob(request=request, dataset_id="ds-1", artifact_root=str(folder / "artifacts"), roots=roots)
    return _answer(job, _LIMIT)
