"""Selection against a slow, obvious reference that holds everything in Python lists."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.data.hashes import write_hashes
from workers.selection.copy_plan import plan_copies
from workers.selection.label_rows import LabelRows
from workers.selection.random_order import random_keys
from workers.selection.selector import Chooser, Rules, Totals, boundary, decide, scan
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.recipe import SelectionSettings
from workers.specs.stages import FailureReason, SelectResult, SelectSpec
from workers.stage_reporter import StageError, StageReporter

CLASSES = 3
# Few values, so that ties and equal hashes abound; 0.3 lies on the usual threshold.
CONFIDENCES = [0.1, 0.3, 0.30001, 0.5, 0.9, 0.90001, 0.9999, 1.0]


def digest(number: int) -> bytes:
    return hashlib.blake2b(bytes([number]), digest_size=15).digest() + b"\0"


Row = tuple[int, float, bytes]
rows_strategy = st.lists(
    st.tuples(st.integers(-1, CLASSES - 1), st.sampled_from(CONFIDENCES), st.integers(0, 6).map(digest)), max_size=30
)
shards_strategy = st.lists(rows_strategy, min_size=1, max_size=4)
settings_strategy = st.builds(
    SelectionSettings,
    min_confidence=st.sampled_from([0.0, 0.3, 0.9]),
    max_per_class=st.one_of(st.none(), st.integers(1, 12)),
    fill_up=st.booleans(),
)


def label_rows(shard: int, rows: list[Row]) -> LabelRows:
    return LabelRows(
        shard,
        np.array([label for label, _, _ in rows], dtype=np.int32),
        np.array([confidence for _, confidence, _ in rows], dtype=np.float32),
        np.array([hash_ for _, _, hash_ in rows], dtype="S16"),
    )


def select(
    shards: list[list[Row]], rules: Rules, order: list[int] | None = None
) -> tuple[dict[tuple[int, int], int], Totals]:
    """Copies by (shard, row), going through the shards in the given order."""
    parts = [label_rows(index, shards[index]) for index in (order or range(len(shards)))]
    totals = Totals(rules.classes)
    for part in parts:
        totals.add(scan(part, rules))
    decision = decide(totals, rules.settings)
    chooser = Chooser(rules, decision, [boundary(part, rules, decision) for part in parts])
    chosen = {}
    for part in parts:
        rows, copies = chooser.copies(part)
        assert rows.tolist() == sorted(rows.tolist())
        chosen |= {(part.shard, row): count for row, count in zip(rows.tolist(), copies.tolist(), strict=True)}
    return chosen, totals


def reference(shards: list[list[Row]], rules: Rules) -> dict[tuple[int, int], int]:
    held_out = {bytes(hash_).ljust(16, b"\0") for hash_ in rules.held_out}
    by_class: dict[int, list[tuple[float, bytes, int, int]]] = {}
    for shard, rows in enumerate(shards):
        for row, (label, confidence, hash_) in enumerate(rows):
            confident = np.float32(confidence) >= np.float32(rules.settings.min_confidence)
            if label >= 0 and hash_ not in held_out and confident:
                by_class.setdefault(label, []).append((-np.float32(confidence), hash_, shard, row))
    cap = rules.settings.max_per_class
    kept = {label: sorted(rows)[:cap] for label, rows in by_class.items()}
    target = cap or max((len(rows) for rows in kept.values()), default=0)
    chosen = {}
    for rows in kept.values():
        places = sorted((shard, row) for _, _, shard, row in rows)
        each, more = divmod(target, len(places)) if rules.settings.fill_up else (1, 0)
        keys = {(shard, row): random_keys(rules.seed, shard, len(shards[shard]))[row] for shard, row in places}
        lucky = set(sorted(places, key=lambda place: keys[place])[:more])
        chosen |= {place: each + (place in lucky) for place in places}
    return chosen


@given(
    shards_strategy, settings_strategy, st.sets(st.integers(0, 6).map(digest), max_size=3), st.integers(0, 2**31 - 1)
)
@settings(max_examples=300, deadline=None)
def test_selection_is_what_the_obvious_reference_selects(shards, selection, held_out, seed):
    rules = Rules(selection, CLASSES, seed, np.array(sorted(held_out), dtype="S16"))
    chosen, totals = select(shards, rules)
    assert chosen == reference(shards, rules)
    counts = totals.counts
    assert counts.rows == sum(map(len, shards))
    assert counts.rows == counts.bad + counts.held_out + counts.low_confidence + counts.confident.sum()


@given(shards_strategy, settings_strategy, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_in_which_shards_are_processed_makes_no_difference(shards, selection, random):
    rules = Rules(selection, CLASSES, 7, np.empty(0, dtype="S16"))
    order = list(range(len(shards)))
    random.shuffle(order)
    assert select(shards, rules, order)[0] == select(shards, rules)[0]


@given(shards_strategy, settings_strategy)
@settings(max_examples=100, deadline=None)
def test_every_class_with_a_confident_image_is_filled_exactly_to_its_target(shards, selection):
    rules = Rules(selection.model_copy(update={"fill_up": True}), CLASSES, 3, np.empty(0, dtype="S16"))
    chosen, totals = select(shards, rules)
    copies, kept = Counter(), Counter()
    for (shard, row), count in chosen.items():
        copies[shards[shard][row][0]] += count
        kept[shards[shard][row][0]] += 1
    target = selection.max_per_class or max(kept.values(), default=0)
    assert all(count == target for count in copies.values())
    assert set(copies) == set(np.flatnonzero(totals.counts.confident).tolist())
    for label in kept:
        own = [count for (shard, row), count in chosen.items() if shards[shard][row][0] == label]
        assert max(own) - min(own) <= 1, "copies are spread evenly"


def test_another_seed_repeats_other_images_and_keeps_the_same_ones():
    shards = [[(0, 0.9, digest(1))] * 100 + [(1, 0.9, digest(2))] * 150]
    first, second = (
        select(shards, Rules(SelectionSettings(), CLASSES, seed, np.empty(0, dtype="S16")))[0] for seed in (1, 2)
    )
    assert first.keys() == second.keys()
    assert first != second


def test_extra_copies_fall_on_every_image_about_equally_often():
    shards = [[(0, 0.9, digest(1))] * 10 + [(1, 0.9, digest(2))] * 15]
    hits = Counter()
    for seed in range(400):
        chosen, _ = select(shards, Rules(SelectionSettings(), CLASSES, seed, np.empty(0, dtype="S16")))
        hits.update(row for (_, row), count in chosen.items() if row < 10 and count == 2)
    assert sum(hits.values()) == 400 * 5
    assert all(150 < hits[row] < 250 for row in range(10)), hits  # 200 expected, standard deviation 10


def test_random_keys_do_not_depend_on_the_number_of_rows_and_never_repeat():
    np.testing.assert_array_equal(random_keys(5, 3, 10), random_keys(5, 3, 1000)[:10])
    keys = np.concatenate([random_keys(5, shard, 5000) for shard in range(20)])
    assert np.unique(keys).size == keys.size


@pytest.mark.parametrize(
    ("confident", "cap", "fill_up", "kept", "copies"),
    [
        ([5, 2, 0], None, True, [5, 2, 0], [5, 5, 0]),
        ([5, 2, 0], None, False, [5, 2, 0], [5, 2, 0]),
        ([5, 2, 0], 3, True, [3, 2, 0], [3, 3, 0]),
        ([5, 2, 0], 9, True, [5, 2, 0], [9, 9, 0]),
        ([0, 0, 0], None, True, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_plan_of_copies(confident, cap, fill_up, kept, copies):
    plan = plan_copies(np.array(confident), cap, fill_up)
    assert plan.kept.tolist() == kept
    assert plan.copies.tolist() == copies


class Folder:
    """A dataset's label files on disk, and the stage run on them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_labels(self, shards: list[list[Row]]) -> None:
        (self.root / "labels").mkdir(parents=True)
        for index, rows in enumerate(shards):
            table = pa.table(
                {
                    "key": [f"k{row}" for row in range(len(rows))],
                    "content_hash": pa.array([hash_ for _, _, hash_ in rows], pa.binary(16)),
                    "label": pa.array([None if label < 0 else label for label, _, _ in rows], pa.int32()),
                    "confidence": pa.array([None if label < 0 else c for label, c, _ in rows], pa.float32()),
                }
            )
            pq.write_table(table, self.root / "labels" / f"part-{index:05d}.parquet")
        manifest = DatasetManifest(
            dataset_id="d",
            role="unlabeled",
            format="parquet",
            classes=(),
            rows=sum(map(len, shards)),
            shards=tuple(Shard(uri=f"s{index}", rows=len(rows)) for index, rows in enumerate(shards)),
        )
        (self.root / "manifest.json").write_text(manifest.model_dump_json())

    def run(self, **changes: object) -> SelectResult:
        spec = SelectSpec.model_validate(
            {
                "run_id": "r",
                "generation": 1,
                "attempt": 1,
                "folder_uri": str(self.root / "select"),
                "seed": 4,
                "manifest_uri": str(self.root / "manifest.json"),
                "labels_uri": str(self.root / "labels"),
                "classes": ("a", "b", "c"),
                "settings": SelectionSettings(),
                **changes,
            }
        )
        (self.root / "select").mkdir(exist_ok=True)
        (self.root / "select" / "spec.json").write_text(spec.model_dump_json())
        return run_select(spec, StageReporter(spec, entered_at=0.0))

    def copies(self, shard: int) -> dict[int, int]:
        table = pq.read_table(self.root / "select" / f"part-{shard:05d}.parquet")
        assert table.schema.types == [pa.int32(), pa.int32()]
        return dict(zip(table["row"].to_pylist(), table["copies"].to_pylist(), strict=True))


SHARDS = [
    [(0, 0.9, digest(1)), (-1, 0.0, digest(2)), (0, 0.2, digest(3)), (1, 0.8, digest(4))],
    [],
    [(0, 0.5, digest(5)), (0, 0.6, digest(6)), (0, 0.95, digest(9))],
]


def test_the_stage_writes_a_file_for_every_shard_and_the_numbers_add_up(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    write_hashes(str(tmp_path / "hashes.bin"), [digest(9), digest(100)])
    result = folder.run(
        held_out_hashes_uris=(str(tmp_path / "hashes.bin"),), settings=SelectionSettings(max_per_class=2)
    )

    assert [folder.copies(shard) for shard in range(3)] == [{0: 1, 3: 2}, {}, {1: 1}]
    assert (result.images_labeled, result.dropped_bad, result.dropped_held_out) == (6, 1, 1)
    assert (result.dropped_low_confidence, result.dropped_over_cap, result.kept, result.copies) == (1, 1, 3, 4)
    assert [(c.name, c.labeled, c.confident, c.kept, c.copies) for c in result.classes] == [
        ("a", 5, 3, 2, 2),
        ("b", 1, 1, 1, 2),
        ("c", 0, 0, 0, 0),
    ]
    progress = json.loads((tmp_path / "select" / "progress.json").read_text())
    assert (progress["done"], progress["total"], progress["unit"]) == (3, 3, "shards")


def test_nothing_selected_is_bad_data_and_names_the_threshold(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    with pytest.raises(StageError, match=r"min_confidence 0\.99") as caught:
        folder.run(settings=SelectionSettings(min_confidence=0.99))
    assert caught.value.reason is FailureReason.BAD_DATA
    assert not list((tmp_path / "select").glob("part-*"))


def test_a_missing_or_damaged_label_file_is_named(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    damaged = tmp_path / "labels" / "part-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(StageError, match=r"part-00001\.parquet"):
        folder.run()
    damaged.unlink()
    with pytest.raises(StageError, match=r"part-00001\.parquet"):
        folder.run()


def test_labels_beyond_the_classes_are_refused(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    with pytest.raises(StageError, match="label 1 of 1 classes"):
        folder.run(classes=("a",))


def test_the_stage_needs_neither_ray_nor_torch():
    import subprocess
    import sys

    code = "import sys, workers.selection.stage; print([m for m in ('ray', 'torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
