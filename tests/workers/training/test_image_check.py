"""Labeled and validation images follow one rule: each broken image is counted once and listed, up to a limit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.bad_images import BROKEN, encoded, scene
from workers.artifact_io import write_bytes
from workers.data.quarantine import kinds_in
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import BrokenKind
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.image_check import check_images

GOOD = encoded(scene(), "JPEG")


class Bench:
    """A labeled set and a validation set in folders of images, and a training on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.looks = 0

    def dataset(self, name: str, images: Sequence[bytes | None]) -> str:
        """Writes the images. None stands for a missing file."""
        for number, image in enumerate(images):
            if image is not None:
                write_bytes(str(self.root / name / "a" / f"{number}.jpg"), image)
        members = tuple(f"a/{number}.jpg" for number in range(len(images)))
        manifest = DatasetManifest(
            dataset_id=f"ds-{name}", name=name, role="labeled", format="image_folder", classes=("a",),
            rows=len(images), shards=(Shard(uri=str(self.root / name), rows=len(images), members=members),),
        )  # fmt: skip
        uri = str(self.root / f"{name}-registered" / "manifest.json")
        write_bytes(uri, manifest.model_dump_json().encode())
        return uri

    def check(self, labeled: str, validation: str, **changes: Any) -> int:
        spec = TrainSpec(
            run_id="r", generation=0, attempt=1, folder_uri=str(self.root / "train"), seed=0, model="m",
            classes=("a",), recipe=Recipe(), labeled_manifest_uri=labeled, validation_manifest_uri=validation,
            workers=WorkerGroup(), **changes,
        )  # fmt: skip
        return check_images(spec, self._look)

    def _look(self) -> None:
        self.looks += 1


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("which", ["labeled", "validation"])
def test_more_broken_images_than_the_limit_end_the_training_with_their_number_dataset_and_reasons(
    bench: Bench, which: str
) -> None:
    images = [GOOD] * 18 + [b"", GOOD[:300]]
    uris = {name: bench.dataset(name, images if name == which else [GOOD] * 20) for name in ("labeled", "validation")}
    with pytest.raises(StageError) as caught:
        bench.check(**uris)
    assert caught.value.reason is FailureReason.BAD_DATA
    listed_in = bench.root / "train" / "quarantine" / f"ds-{which}.parquet"
    assert str(caught.value) == (
        f"2 of 20 images of dataset '{which}' (ds-{which}) cannot be read (1 empty, 1 truncated); "
        f"max_bad_fraction allows 0.05 of them; each is named in {listed_in}"
    )
    rows = pq.read_table(listed_in).to_pylist()
    assert [(row["key"], row["row"], row["kind"]) for row in rows] == [
        ("a/18.jpg", 18, "empty"), ("a/19.jpg", 19, "truncated"),
    ]  # fmt: skip


def test_broken_images_within_the_limit_are_counted_once_however_often_they_are_drawn(bench: Bench) -> None:
    labeled, validation = bench.dataset("labeled", [GOOD] * 39 + [b"x"]), bench.dataset("validation", [GOOD] * 2)
    assert bench.check(labeled, validation) == 1
    assert bench.check(labeled, labeled) == 1, "a set that is both"


def test_every_kind_is_listed_with_its_reason(bench: Bench) -> None:
    broken = [data for data, _ in BROKEN.values()]
    labeled = bench.dataset("labeled", [*broken, None, GOOD])
    assert bench.check(labeled, labeled, max_bad_fraction=1.0) == len(broken) + 1
    kinds = kinds_in(str(bench.root / "train" / "quarantine"))
    assert kinds == {**count([kind for _, kind in BROKEN.values()]), BrokenKind.UNREADABLE: 1}


def count(kinds: list[BrokenKind]) -> dict[BrokenKind, int]:
    return {kind: kinds.count(kind) for kind in kinds}


def test_a_dataset_is_looked_at_once_for_all_trainings(bench: Bench) -> None:
    labeled = bench.dataset("labeled", [GOOD] * 39 + [b"x"])
    assert bench.check(labeled, labeled) == 1
    seen = bench.looks
    assert (bench.check(labeled, labeled), bench.looks) == (1, seen)


@pytest.mark.parametrize("broken", [[b"x"] * 5, [None]])
def test_what_may_be_mended_is_looked_at_again(bench: Bench, broken: list[bytes | None]) -> None:
    labeled = bench.dataset("labeled", [*[GOOD] * 39, *broken])
    look: Callable[[], int] = lambda: bench.check(labeled, labeled)  # noqa: E731
    if len(broken) > 1:
        with pytest.raises(StageError, match="5 of 44"):
            look()
    else:
        assert look() == 1
    for number in range(39, 39 + len(broken)):
        write_bytes(str(bench.root / "labeled" / "a" / f"{number}.jpg"), GOOD)
    assert look() == 0


def test_nothing_but_broken_images_is_beyond_every_limit(bench: Bench) -> None:
    labeled = bench.dataset("labeled", [b"x"])
    with pytest.raises(StageError, match="1 of 1 images of dataset 'labeled'"):
        bench.check(labeled, labeled, max_bad_fraction=1.0)
