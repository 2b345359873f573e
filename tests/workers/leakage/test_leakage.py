"""Images to train on are compared with evaluation images of any number, by their bytes and by their looks."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from noisy_student.local.demo.digits import load_digits
from tests.workers.leakage.made_sets import encoded_again, made_set, tiny_picture
from workers.data.images.decode import content_hash
from workers.data.images.perceptual_hash import encoded_thumbnail, perceptual_hashes
from workers.leakage import fingerprints
from workers.leakage.evaluation_index import EvaluationIndex, as_contents
from workers.leakage.fingerprints import prepare_fingerprints
from workers.leakage.labeled_images import check_labeled_images
from workers.leakage.photographs import look_alike_share
from workers.runtime.shard_pool import ShardDone, ShardFunction
from workers.runtime.stage_reporter import StageError
from workers.specs.hygiene import FingerprintedImages
from workers.specs.reports import FailureReason
from workers.specs.stages import ActorPool


def look_of(data: bytes) -> int:
    [found] = perceptual_hashes([encoded_thumbnail(data)])
    assert found is not None
    return found


def nothing() -> None:
    pass


def prepared(*sets: FingerprintedImages) -> dict[str, FingerprintedImages]:
    return {prepare_fingerprints(each, ActorPool(), nothing).dataset_id: each for each in sets}


def test_an_index_over_several_sets_names_the_image_that_is_looked_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "ROW_GROUP_ROWS", 4)
    monkeypatch.setattr("workers.leakage.evaluation_index.ROW_GROUP_ROWS", 4)
    one = made_set(tmp_path, "one", [[tiny_picture(number) for number in range(5)], [None, tiny_picture(5)]])
    two = made_set(tmp_path, "two", [[tiny_picture(number) for number in range(10, 21)]])
    index = EvaluationIndex(prepared(one, two), 4)

    looks = {row: look_of(encoded_again(tiny_picture(number))) for row, number in enumerate((5, 19, 77))}
    assert [(near.row, near.evaluation_dataset, near.evaluation_key) for near in index.near(looks)] == [
        (0, "one", "1.parquet:1"),
        (1, "two", "0.parquet:9"),
    ]
    contents = as_contents([content_hash(tiny_picture(number)) for number in (3, 20, 21)] + [content_hash(b"")])
    assert index.equal(contents).tolist() == [True, True, False, False]


def test_a_large_set_is_fingerprinted_by_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [[tiny_picture(10 * shard + number) for number in range(10)] for shard in range(3)]
    here, there = made_set(tmp_path, "here", shards), made_set(tmp_path, "there", shards)
    asked: list[ActorPool] = []

    def map_shards(
        make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> Iterator[ShardDone]:
        asked.append(pool)
        function = make_function()
        for shard in reversed(shard_indices):
            yield ShardDone(shard, 1.0, 2.0, function(shard))

    prepare_fingerprints(here, ActorPool(gpus_per_actor=1.0), nothing)
    monkeypatch.setattr(fingerprints, "map_shards", map_shards)
    monkeypatch.setattr(fingerprints, "POOL_FROM", 20)
    prepare_fingerprints(there, ActorPool(gpus_per_actor=1.0), nothing)

    assert [pool.gpus_per_actor for pool in asked] == [0], "decoding needs no GPU"
    tables = [pq.read_table(each.fingerprints_uri).sort_by("key") for each in (here, there)]
    assert tables[0].equals(tables[1])


def test_labeled_images_that_look_like_an_evaluation_image_are_listed(tmp_path: Path) -> None:
    validation = made_set(tmp_path, "validation", [[tiny_picture(1), tiny_picture(2)]])
    test = made_set(tmp_path, "test", [[tiny_picture(3)]])
    labeled = made_set(tmp_path, "labeled", [[tiny_picture(7), encoded_again(tiny_picture(3)), tiny_picture(8)]])

    assert check_labeled_images(labeled, (validation, test), 4, str(tmp_path / "train"), nothing) == 1
    [listed] = pq.read_table(tmp_path / "train" / "near_duplicates" / "labeled.parquet").to_pylist()
    assert (listed["key"], listed["evaluation_dataset"]) == ("0.parquet:1", "test")


@pytest.mark.parametrize(
    ("of_labeled", "of_validation", "of_test", "of_external", "pair"),
    [
        (1, 2, 1, 9, "labeled shares 1 image.*with test, among them 0.parquet:0"),
        (1, 2, 3, 1, "labeled shares 1 image.*with external"),
        (1, 2, 2, 9, "validation shares 1 image.*with test"),
    ],
)
def test_sets_that_share_an_image_stop_the_training(
    tmp_path: Path, of_labeled: int, of_validation: int, of_test: int, of_external: int, pair: str
) -> None:
    numbers = {"labeled": of_labeled, "validation": of_validation, "test": of_test, "external": of_external}
    labeled, *others = (made_set(tmp_path, name, [[tiny_picture(number)]]) for name, number in numbers.items())
    with pytest.raises(StageError, match=pair) as caught:
        check_labeled_images(labeled, others, 4, str(tmp_path / "train"), nothing)
    assert caught.value.reason is FailureReason.USER_ERROR


def test_external_images_may_be_validation_images_too(tmp_path: Path) -> None:
    numbers = {"labeled": 1, "validation": 2, "test": 3, "external": 2}
    labeled, *others = (made_set(tmp_path, name, [[tiny_picture(number)]]) for name, number in numbers.items())
    assert check_labeled_images(labeled, others, 0, str(tmp_path / "train"), nothing) is None


def test_digits_are_no_photographs_and_equal_bytes_are_one_picture(tmp_path: Path) -> None:
    pictures = made_set(tmp_path, "pictures", [[tiny_picture(number // 2) for number in range(200)]])
    rows = load_digits()[0][:1000].reshape(-1, 28, 28)
    drawn = made_set(tmp_path, "digits", [[b"P5 28 28 255\n" + row.astype("uint8").tobytes() for row in rows]])
    prepared(pictures, drawn)
    assert look_alike_share([pictures], 4) == 0
    share = look_alike_share([drawn], 4)
    assert share is not None
    assert share > 0.05
