"""`class_level` says which folder names the class, at registration and when stages read."""

from pathlib import Path

import pytest

from tests.support.made_datasets import inspect, labels_read_back, refusal, write_files
from tests.support.made_shards import picture
from workers.data.shards.class_counts import class_counts

NAMES = ("birds/owl/1.png", "birds/duck/2.png", "fish/cod/monday/3.png", "fish/duck/4.png")


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return write_files(tmp_path / "zoo", {name: picture(number) for number, name in enumerate(NAMES)})


@pytest.mark.parametrize(
    ("level", "classes"),
    [
        (None, {"birds": 2, "fish": 2}),
        (1, {"birds": 2, "fish": 2}),
        (2, {"cod": 1, "duck": 2, "owl": 1}),
        (-1, {"duck": 2, "monday": 1, "owl": 1}),
        (-2, {"birds": 2, "cod": 1, "fish": 1}),
    ],
)
def test_the_class_is_the_folder_at_the_level(zoo: Path, level: int | None, classes: dict[str, int]) -> None:
    found = inspect(zoo, class_level=level)
    assert found.class_counts == classes
    assert sorted(labels_read_back(found)) == sorted(name for name, count in classes.items() for _ in range(count))
    assert class_counts(found.manifest).tolist() == list(classes.values())


def test_an_image_in_too_few_folders_is_refused_by_name(zoo: Path) -> None:
    field, message = refusal(zoo, class_level=3)
    assert field == "class_level"
    assert message.startswith(f"{zoo}/birds/duck/2.png: lies in fewer folders")
    assert refusal(zoo, class_level=0)[0] == "class_level"


def test_a_level_means_nothing_for_other_formats(zoo: Path) -> None:
    (zoo / "list.csv").write_text("path,label\nbirds/owl/1.png,a\nfish/duck/4.png,b\n")
    field, message = refusal(zoo / "list.csv", class_level=1)
    assert (field, "has no use for class_level" in message) == ("class_level", True)


def test_a_list_begins_at_its_base(zoo: Path, tmp_path: Path) -> None:
    listed = tmp_path / "lists" / "labels of 2026.csv"
    listed.parent.mkdir()
    listed.write_text("filename,species\nowl/1.png,owl\nduck/2.png,duck\n")
    found = inspect(listed, base_uri=str(zoo / "birds"), label_column="species")
    assert (found.class_counts, found.sampled_bad) == ({"duck": 1, "owl": 1}, 0)
    assert labels_read_back(found) == ["owl", "duck"]
    assert refusal(zoo, base_uri=str(zoo))[0] == "base_uri"
