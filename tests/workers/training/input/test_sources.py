import io
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from workers.data.arrow_columns import lists_of
from workers.data.errors import BrokenImage, ShardReadError, StoreReadError
from workers.data.order.lanes import Layout, Stream, share_of
from workers.data.shards.materialized_shards import MaterializedIndex, training_shard_uri, write_index
from workers.data.soft_labels import SoftLabels
from workers.labeling.label_files import Hygiene, label_table, write_label_file
from workers.runtime.stage_reporter import StageError
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.hygiene import BrokenKind
from workers.specs.labeling import PseudoLabels
from workers.specs.recipe import Recipe
from workers.specs.reports import FailureReason
from workers.specs.stages import part_name
from workers.training.input import sources
from workers.training.input.pseudo_targets import SoftTargets, pseudo_targets
from workers.training.input.sources import LabeledSource, PseudoLabeledSource, pseudo_labeled_source


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(buffer, format="PNG")
    return buffer.getvalue()


def write_dataset(folder: Path, labels: list[int] | None, rows: int) -> str:
    folder.mkdir()
    columns = {"image": pa.array([png(row) for row in range(rows)], pa.binary())}
    if labels is not None:
        columns["label"] = pa.array(labels)
    pq.write_table(pa.table(columns), folder / "0.parquet")
    manifest = DatasetManifest(
        dataset_id="ds",
        role="unlabeled" if labels is None else "labeled",
        format="parquet",
        classes=() if labels is None else ("0", "1", "2"),
        label_column=None if labels is None else "label",
        rows=rows,
        shards=(Shard(uri=str(folder / "0.parquet"), rows=rows),),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return str(folder / "manifest.json")


def test_labeled_samples_come_with_smoothed_targets(tmp_path: Path) -> None:
    source = LabeledSource(write_dataset(tmp_path / "labeled", [2, 0], 2), num_classes=3, smoothing=0.3)
    image, target = source.sample(0, 0)
    assert image == png(0)
    assert target.tolist() == pytest.approx([0.1, 0.1, 0.8])


def test_pseudo_labeled_samples_repeat_as_often_as_selected(tmp_path: Path) -> None:
    manifest_uri = write_dataset(tmp_path / "pool", None, 4)
    labels, selection = tmp_path / "label", tmp_path / "select"
    labels.mkdir()
    selection.mkdir()
    top_classes = pa.FixedSizeListArray.from_arrays(pa.array([0, 1, 2, 0, 1, 2, 1, 0], pa.int32()), 2)
    probabilities = np.array([0.7, 0.3, 0.6, 0.4, 0.9, 0.1, 0.5, 0.5], np.float16)
    top = pa.FixedSizeListArray.from_arrays(pa.array(probabilities, pa.float16()), 2)
    pq.write_table(pa.table({"top_classes": top_classes, "top_probabilities": top}), labels / part_name(0))
    chosen = {"row": pa.array([1, 3], pa.int32()), "copies": pa.array([2, 1], pa.int32())}
    pq.write_table(pa.table(chosen), selection / part_name(0))
    pseudo = PseudoLabels(manifest_uri=manifest_uri, labels_uri=str(labels), selection_uri=str(selection))
    source = PseudoLabeledSource(pseudo, num_classes=3, recipe=Recipe())
    assert source.rows_per_shard == [3]
    assert [source.sample(0, row)[0] for row in range(3)] == [png(1), png(1), png(3)]
    assert source.sample(0, 0)[1].tolist() == pytest.approx([0.4, 0.0, 0.6], abs=1e-3)


def test_a_broken_image_in_the_pool_does_not_disturb_its_neighbours(tmp_path: Path) -> None:
    manifest_uri = write_dataset(tmp_path / "pool", None, 3)
    labels, selection = tmp_path / "label", tmp_path / "select"
    selection.mkdir()
    broken = {1: BrokenImage(BrokenKind.EMPTY, "no bytes")}
    probabilities = np.array([[0.75, 0.25, 0], [np.nan] * 3, [0, 0.25, 0.75]], np.float32)
    table, _ = label_table(["a", "b", "c"], Hygiene([b"0" * 16] * 3, [None] * 3, broken, {}), probabilities, top_k=3)
    write_label_file(str(labels), 0, table, broken)
    chosen = {"row": pa.array([0, 2], pa.int32()), "copies": pa.array([1, 1], pa.int32())}
    pq.write_table(pa.table(chosen), selection / part_name(0))
    pseudo = PseudoLabels(manifest_uri=manifest_uri, labels_uri=str(labels), selection_uri=str(selection))
    source = PseudoLabeledSource(pseudo, num_classes=3, recipe=Recipe())
    assert [source.sample(0, row)[1].tolist() for row in range(2)] == [[0.75, 0.25, 0], [0, 0.25, 0.75]]


def test_label_files_of_versions_that_wrote_null_lists_are_read() -> None:
    values = pa.array([2, 1, None, None, 0, 1], pa.int32())
    lists = pa.FixedSizeListArray.from_arrays(values, 2, mask=pa.array([False, True, False]))
    classes = lists_of(pa.chunked_array([lists]))
    assert (classes.dtype, classes.tolist()) == (np.int32, [[2, 1], [0, 0], [0, 1]])


def test_images_that_are_not_selected_are_not_kept(tmp_path: Path) -> None:
    manifest_uri = write_dataset(tmp_path / "pool", None, 150)
    labels, selection = tmp_path / "label", tmp_path / "select"
    labels.mkdir()
    selection.mkdir()
    top = pa.FixedSizeListArray.from_arrays(pa.array([row % 3 for row in range(150)], pa.int32()), 1)
    sure = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(150, np.float16)), 1)
    pq.write_table(pa.table({"top_classes": top, "top_probabilities": sure}), labels / part_name(0))
    chosen = {"row": pa.array([2, 100, 121], pa.int32()), "copies": pa.array([1, 2, 1], pa.int32())}
    pq.write_table(pa.table(chosen), selection / part_name(0))
    pseudo = PseudoLabels(manifest_uri=manifest_uri, labels_uri=str(labels), selection_uri=str(selection))
    source = PseudoLabeledSource(pseudo, num_classes=3, recipe=Recipe())
    samples = [source.sample(0, row) for row in range(4)]
    assert [image for image, _ in samples] == [png(2), png(100), png(100), png(121)]
    assert [int(target.argmax()) for _, target in samples] == [2, 1, 1, 1]
    targets = source._shard(0).targets
    assert isinstance(targets, SoftTargets)
    assert len(source._shard(0).images) == len(targets.soft_labels) == 3


def test_eight_workers_read_each_copy_of_each_image_once_an_epoch(tmp_path: Path) -> None:
    """Reads 5 uneven shards from files, fewer than there are workers; rows are selected zero to four times."""
    rng, rows = np.random.default_rng(2), [31, 1, 60, 7, 18]
    folder, labels, selection = (tmp_path / name for name in ("pool", "label", "select"))
    for each in (folder, labels, selection):
        each.mkdir()
    expected: Counter[int] = Counter()
    shards = []
    for shard, count in enumerate(rows):
        numbers = [png(sum(rows[:shard]) + row) for row in range(count)]
        pq.write_table(pa.table({"image": pa.array(numbers, pa.binary())}), folder / f"{shard}.parquet")
        shards.append(Shard(uri=str(folder / f"{shard}.parquet"), rows=count))
        top = pa.FixedSizeListArray.from_arrays(pa.array([0, 1] * count, pa.int32()), 2)
        probabilities = pa.FixedSizeListArray.from_arrays(pa.array(np.full(2 * count, 0.5, np.float16)), 2)
        pq.write_table(pa.table({"top_classes": top, "top_probabilities": probabilities}), labels / part_name(shard))
        copies = rng.integers(0, 5, count)
        chosen = {
            "row": pa.array(np.flatnonzero(copies), pa.int32()),
            "copies": pa.array(copies[copies > 0], pa.int32()),
        }
        pq.write_table(pa.table(chosen), selection / part_name(shard))
        expected.update({sum(rows[:shard]) + row: int(times) for row, times in enumerate(copies) if times})
    manifest = DatasetManifest(
        dataset_id="ds", role="unlabeled", format="parquet", classes=(), rows=sum(rows), shards=tuple(shards)
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    pseudo = PseudoLabels(
        manifest_uri=str(folder / "manifest.json"), labels_uri=str(labels), selection_uri=str(selection)
    )
    samples, batch = expected.total(), 24
    seen: list[Counter[int]] = [Counter(), Counter()]
    for worker, process in product(range(8), range(2)):
        source = PseudoLabeledSource(pseudo, num_classes=2, recipe=Recipe(), shards_kept=2)
        stream = Stream(source.rows_per_shard, 0, batch, Layout(8, 2))
        for step in range(process, 2 * samples // batch + 1, 2):
            for slot in share_of(batch, worker, 8):
                place = step * batch + slot
                if place < 2 * samples:
                    image, _ = source.sample(*stream.at(place))
                    seen[place // samples][int(np.asarray(Image.open(io.BytesIO(image)))[0, 0, 0])] += 1
    assert seen == [expected, expected]


def test_a_labeled_shard_that_is_gone_is_named(tmp_path: Path) -> None:
    source = LabeledSource(write_dataset(tmp_path / "labeled", [2, 0], 2), num_classes=3, smoothing=0.0)
    (tmp_path / "labeled" / "0.parquet").unlink()
    with pytest.raises(ShardReadError, match=r"labeled/0\.parquet: there is no such file"):
        source.sample(0, 0)


def test_a_manifest_that_is_gone_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"gone\.json") as raised:
        LabeledSource(str(tmp_path / "gone.json"), num_classes=3, smoothing=0.0)
    assert raised.value.reason is FailureReason.BAD_DATA


@pytest.mark.parametrize("content", [None, b"half of a file"])
def test_a_selection_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    manifest_uri = write_dataset(tmp_path / "pool", None, 4)
    if content is not None:
        (tmp_path / part_name(0)).write_bytes(content)
    pseudo = PseudoLabels(manifest_uri=manifest_uri, labels_uri=str(tmp_path), selection_uri=str(tmp_path))
    with pytest.raises(ShardReadError, match=part_name(0)):
        PseudoLabeledSource(pseudo, num_classes=3, recipe=Recipe())


@pytest.mark.parametrize("content", [None, b"half of a file"])
def test_a_training_shard_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    write_index(str(tmp_path), MaterializedIndex(rows_per_shard=(3,), bytes=10))
    uri = training_shard_uri(str(tmp_path), 0)
    if content is not None:
        (tmp_path / "materialized" / "train-00000.parquet").write_bytes(content)
    pseudo = PseudoLabels(manifest_uri="/none", labels_uri="/none", selection_uri=str(tmp_path))
    source = pseudo_labeled_source(pseudo, num_classes=3, recipe=Recipe())
    with pytest.raises(ShardReadError, match=uri):
        source.sample(0, 0)


def test_a_training_shard_that_the_store_does_not_give_is_worth_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(uri: str) -> None:
        raise OSError("When reading information for key: AWS Error NETWORK_CONNECTION during HeadObject operation")

    write_index(str(tmp_path), MaterializedIndex(rows_per_shard=(3,), bytes=10))
    pseudo = PseudoLabels(manifest_uri="/none", labels_uri="/none", selection_uri=str(tmp_path))
    source = pseudo_labeled_source(pseudo, num_classes=3, recipe=Recipe())
    monkeypatch.setattr(sources, "open_filesystem", away)
    with pytest.raises(StoreReadError, match="the storage does not give it"):
        source.sample(0, 0)


def target_of(row: list[float], classes: int, recipe: Recipe) -> npt.NDArray[np.float32]:
    """The target of a row that lists its first classes with these probabilities, without alignment."""
    listed = np.arange(len(row), dtype=np.int32)[None]
    soft_labels = SoftLabels.of(listed, np.array([row], dtype=np.float16), np.ones(classes, np.float32))
    return pseudo_targets(soft_labels, recipe).of(0)


def test_hard_targets_are_one_hot_and_soft_ones_are_sharpened_by_temperature() -> None:
    hard, sharp = Recipe(targets="hard"), Recipe(temperature=0.5)
    assert target_of([0.8, 0.2], 2, hard).tolist() == [1.0, 0.0]
    assert target_of([0.5, 0.5], 2, hard).tolist() == [1.0, 0.0]
    assert target_of([0.8, 0.2], 2, sharp).tolist() == pytest.approx([0.64 / 0.68, 0.04 / 0.68], abs=1e-3)
    assert target_of([0.5, 0.5], 2, sharp).tolist() == [0.5, 0.5]


def test_what_the_listed_classes_lack_is_spread_over_the_others() -> None:
    """A flat row of 1,000 classes: the first has 13 %, nine others 2 % each, and the rest is not listed."""
    row = [0.13, *[0.02] * 9]
    soft = target_of(row, 1000, Recipe(temperature=1.0))
    assert soft[0] == pytest.approx(0.13, abs=1e-3), "not 0.42, as if there were no other classes"
    assert soft[10:].tolist() == pytest.approx([0.69 / 990] * 990, rel=1e-2)
    assert soft.sum() == pytest.approx(1)
    sharp = target_of(row, 1000, Recipe(temperature=0.5))
    assert sharp[0] / sharp[1] == pytest.approx((0.13 / 0.02) ** 2, rel=1e-2)
    assert sharp.sum() == pytest.approx(1)


@pytest.mark.parametrize("width", [10, 64])
def test_targets_of_many_classes_come_from_old_and_new_label_files(tmp_path: Path, width: int) -> None:
    """Versions before wrote 10 classes for each row; now lists end in -1 where enough is kept."""
    manifest_uri = write_dataset(tmp_path / "pool", None, 2)
    labels, selection = tmp_path / "label", tmp_path / "select"
    labels.mkdir()
    selection.mkdir()
    flat = np.array([0.13] + [0.87 / 999] * 999, dtype=np.float32)
    peaked = np.full(1000, 0.0001 / 998, dtype=np.float32)
    peaked[[7, 8]] = 0.98, 0.0199
    if width == 10:
        top = np.array([np.argsort(-row, kind="stable")[:10] for row in (flat, peaked)])
        values = np.take_along_axis(np.stack([flat, peaked]), top, axis=1)
        columns: dict[str, Any] = {"top_classes": top.astype(np.int32), "top_probabilities": values.astype(np.float16)}
        lists = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(each.reshape(-1)), 10) for name, each in columns.items()
        }
        pq.write_table(pa.table(lists), labels / part_name(0))
    else:
        hygiene = Hygiene([b"0" * 16] * 2, [None] * 2, {}, {})
        table, _ = label_table(["a", "b"], hygiene, np.stack([flat, peaked]), top_k=width)
        write_label_file(str(labels), 0, table, {})
    chosen = {"row": pa.array([0, 1], pa.int32()), "copies": pa.array([1, 1], pa.int32())}
    pq.write_table(pa.table(chosen), selection / part_name(0))
    pseudo = PseudoLabels(manifest_uri=manifest_uri, labels_uri=str(labels), selection_uri=str(selection))
    source = PseudoLabeledSource(pseudo, num_classes=1000, recipe=Recipe())

    targets = [source.sample(0, row)[1] for row in range(2)]
    assert targets[0] == pytest.approx(flat, abs=2e-4)
    assert targets[1] == pytest.approx(peaked, abs=6e-4)
    assert [target.sum() for target in targets] == pytest.approx([1, 1], abs=1e-4)


def test_a_temperature_near_zero_gives_a_hard_target_and_no_nan() -> None:
    soft = target_of([0.4, 0.35, 0.25], 3, Recipe(temperature=0.01))
    assert soft.tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-4)
