"""Labeled images are divided by class and by seed, and equal images never lie on two sides."""

from collections import Counter

import pytest
from pydantic import ValidationError

from service.config.datasets import DatasetPart
from service.datasets.inspection.stratified_split import StratifiedSplit, split_by_class


def _part(**fields: object) -> DatasetPart:
    return DatasetPart.model_validate({"name": "train", **fields})


def _split(labels: list[str], groups: list[bytes | None] | None = None, **how: object) -> StratifiedSplit:
    return split_by_class(labels, groups or [f"{row}".encode() for row in range(len(labels))], _part(**how))


def test_each_part_has_its_share_of_each_class() -> None:
    labels = ["cat"] * 100 + ["dog"] * 30
    counts = Counter(zip(labels, _split(labels, validation_share=0.1, test_share=0.2).parts, strict=True))
    assert counts == {
        ("cat", "train"): 70,
        ("cat", "validation"): 10,
        ("cat", "test"): 20,
        ("dog", "train"): 21,
        ("dog", "validation"): 3,
        ("dog", "test"): 6,
    }


def test_a_small_class_gives_one_image_to_each_part_and_keeps_one() -> None:
    assert sorted(_split(["owl"] * 3).parts) == ["test", "train", "validation"]


@pytest.mark.parametrize("images", [1, 2])
def test_a_class_of_fewer_images_than_parts_is_for_training_as_a_whole(images: int) -> None:
    found = _split(["cat"] * 10 + ["owl"] * images)
    assert found.kept_whole == {"owl": images}
    assert set(found.parts[10:]) == {"train"}


def test_only_the_parts_that_are_asked_for_are_taken() -> None:
    found = _split(["cat"] * 20 + ["owl"] * 2, validation_share=0)
    assert Counter(found.parts) == {"train": 19, "test": 3}
    assert not found.kept_whole


def test_equal_images_stay_together_even_under_two_labels() -> None:
    groups: list[bytes | None] = [f"{row // 2}".encode() for row in range(80)]
    labels = ["cat" if row % 2 else "dog" for row in range(80)]
    for seed in range(20):
        parts = _split(labels, groups, seed=seed).parts
        assert all(one == other for one, other in zip(parts[::2], parts[1::2], strict=True))
        assert {"train", "validation", "test"} == set(parts)


def test_many_copies_of_an_image_do_not_make_up_the_test_images() -> None:
    groups: list[bytes | None] = [*([b"copied"] * 50), *(f"{row}".encode() for row in range(50))]
    for seed in range(20):
        parts = _split(["cat"] * 100, groups, seed=seed).parts
        assert set(parts[:50]) == {"train"}
        assert 1 <= parts.count("test") <= 10


def test_a_class_with_more_copies_than_images_leaves_some_for_training() -> None:
    groups: list[bytes | None] = [*([b"copied"] * 100), b"1", b"2"]
    for seed in range(20):
        assert set(_split(["cat"] * 102, groups, seed=seed).parts) == {"train", "validation", "test"}


def test_rows_without_an_image_are_for_training() -> None:
    groups: list[bytes | None] = [None, None, b"1", b"2", b"3"]
    assert _split(["cat"] * 5, groups).parts[:2] == ["train", "train"]


def test_the_seed_decides_and_the_order_of_the_rows_does_not() -> None:
    labels = ["cat"] * 200
    groups: list[bytes | None] = [f"{row}".encode() for row in range(200)]
    tested = {
        seed: {
            group for group, part in zip(groups, _split(labels, groups, seed=seed).parts, strict=True) if part == "test"
        }
        for seed in (0, 1)
    }
    assert tested[0] != tested[1]
    backwards = _split(labels, groups[::-1]).parts
    assert {group for group, part in zip(groups[::-1], backwards, strict=True) if part == "test"} == tested[0]


def test_a_part_without_a_share_is_refused() -> None:
    with pytest.raises(ValidationError, match="there is no test part"):
        _part(name="test", test_share=0)
