"""Selection compared with a slow, obvious reference that holds everything in Python lists."""

import hashlib
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.data.confidence import confidence_of, largest_doubts
from workers.labeling import duplicates
from workers.labeling.duplicates import write_duplicates
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.selection import shard_ranges, stage
from workers.selection.best_rows import Cut, DigitCounts, keys_with_hashes, narrowed
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.reports import FailureReason
from workers.specs.results import SelectResult
from workers.specs.selection import SelectionSettings
from workers.specs.stages import SelectSpec

CLASSES = 3
# Few distinct values give many ties and equal hashes; 0.7 and 0.1 are the usual thresholds.
DOUBTS = [0.9, 0.7, 0.69999, 0.5, 0.1, 0.09999, 1e-4, 1e-9, 1e-30, 0.0]


def digest(number: int) -> bytes:
    return hashlib.blake2b(bytes([number]), digest_size=15).digest() + b"\0"


@dataclass(frozen=True)
class Row:
    label: int
    doubt: float
    hash: bytes
    excluded: bool = False


row_strategy = st.builds(
    Row, st.integers(-1, CLASSES - 1), st.sampled_from(DOUBTS), st.integers(0, 6).map(digest), st.booleans()
)
shards_strategy = st.lists(st.lists(row_strategy, max_size=30), min_size=1, max_size=4)
settings_strategy = st.builds(
    SelectionSettings,
    min_confidence=st.sampled_from([0.0, 0.3, 0.9]),
    max_per_class=st.one_of(st.none(), st.integers(1, 12)),
    fill_up=st.booleans(),
    max_copies_per_image=st.one_of(st.none(), st.integers(1, 12)),
    share_per_class=st.sampled_from([1.0, 1.0, 0.5, 0.1]),
)

Copies = dict[tuple[int, int], int]


def reference(shards: list[list[Row]], settings: SelectionSettings) -> tuple[dict[int, list[tuple[int, int]]], int]:
    """The positions of each class's kept rows, and how many copies each class must have."""
    by_class: dict[int, list[tuple[np.float32, bytes, int, int]]] = {}
    for shard, rows in enumerate(shards):
        for row, each in enumerate(rows):
            confident = np.float32(1 - np.float64(np.float32(each.doubt))) >= np.float32(settings.min_confidence)
            if each.label >= 0 and not each.excluded and confident:
                by_class.setdefault(each.label, []).append((np.float32(each.doubt), each.hash, shard, row))
    cap = settings.max_per_class
    best = {
        label: sorted(rows)[: ceil(len(rows) * settings.share_per_class - 1e-9)] for label, rows in by_class.items()
    }
    kept = {label: [(shard, row) for _, _, shard, row in rows[:cap]] for label, rows in best.items()}
    return kept, cap or max((len(rows) for rows in kept.values()), default=0)


def check_against_reference(shards: list[list[Row]], settings: SelectionSettings, chosen: Copies) -> None:
    kept, target = reference(shards, settings)
    assert set(chosen) == {place for places in kept.values() for place in places}
    limit = settings.max_copies_per_image or target
    for places in kept.values():
        copies = [chosen[place] for place in places]
        if settings.fill_up and settings.share_per_class < 1:
            assert 0 <= min(target, limit * len(places)) - sum(copies) < len(places), "less than one more copy of each"
            assert max(copies) - min(copies) <= 1, "copies are spread evenly"
        elif settings.fill_up:
            filled = min(target, limit * len(places))
            assert sum(copies) == filled, "every class is filled exactly to its target, or to its limit of copies"
            assert max(copies) - min(copies) <= 1, "copies are spread evenly"
        else:
            assert set(copies) == {1}


class Folder:
    """The label files of a dataset on disk, and the stage on them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write_labels(self, shards: list[list[Row]]) -> None:
        (self.root / "labels").mkdir(parents=True)
        for index, rows in enumerate(shards):
            table = pa.table(
                {
                    "key": [f"k{row}" for row in range(len(rows))],
                    "content_hash": pa.array([each.hash for each in rows], pa.binary(16)),
                    "label": pa.array([None if each.label < 0 else each.label for each in rows], pa.int32()),
                    "doubt": pa.array(
                        [None if each.label < 0 or each.excluded else each.doubt for each in rows], pa.float32()
                    ),
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
        return run_select(spec, StageReporter(spec, entered_at=0.0))

    def copies(self, shard: int) -> dict[int, int]:
        table = pq.read_table(self.root / "select" / f"part-{shard:05d}.parquet")
        assert table.schema.types == [pa.int32(), pa.int32()]
        assert table["row"].to_pylist() == sorted(table["row"].to_pylist())
        return dict(zip(table["row"].to_pylist(), table["copies"].to_pylist(), strict=True))

    def all_copies(self, shards: int) -> Copies:
        return {(shard, row): count for shard in range(shards) for row, count in self.copies(shard).items()}


@given(shards_strategy, settings_strategy, st.sampled_from([1, 3]), st.integers(0, 40))
@settings(max_examples=120, deadline=None)
def test_the_stage_selects_what_the_obvious_reference_selects(
    shards: list[list[Row]], selection: SelectionSettings, ranges: int, gathered_at_most: int
) -> None:
    """This holds for one range of shards or several, with rows compared in memory or counted digit by digit."""
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "start_executor", lambda rows: (ThreadPoolExecutor(2), ranges))
        patch.setattr(stage, "_GATHERED_AT_MOST", gathered_at_most)
        folder = Folder(Path(root))
        folder.write_labels(shards)
        if not reference(shards, selection)[0]:
            with pytest.raises(StageError, match="no pseudo label is selected"):
                folder.run(settings=selection)
            return
        result = folder.run(settings=selection)
        check_against_reference(shards, selection, folder.all_copies(len(shards)))
        rows = sum(map(len, shards))
        assert result.images_labeled + result.dropped_bad == rows
        dropped = result.dropped_held_out + result.dropped_low_confidence + result.dropped_over_cap
        assert result.images_labeled == dropped + result.kept


def test_processes_select_what_one_thread_selects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    shards = [
        [Row(int(rng.integers(CLASSES)), float(rng.random()), rng.bytes(16)) for _ in range(200)] for _ in range(9)
    ]
    chosen = []
    for rows_worth_a_process in (10**9, 1):
        monkeypatch.setattr(shard_ranges, "ROWS_WORTH_A_PROCESS", rows_worth_a_process)
        folder = Folder(tmp_path / str(rows_worth_a_process))
        folder.write_labels(shards)
        folder.run(settings=SelectionSettings(max_per_class=500))
        chosen.append(folder.all_copies(len(shards)))
    assert chosen[0] == chosen[1]
    check_against_reference(shards, SelectionSettings(max_per_class=500), chosen[0])


def test_millions_of_equally_sure_images_are_decided_by_their_hashes_in_bounded_memory() -> None:
    classes, rows, wanted = 2, 300_000, np.array([1000, 7])
    rng = np.random.default_rng(1)
    labels = rng.integers(0, classes, rows).astype(np.int32)
    hashes = np.frombuffer(rng.bytes(16 * rows), dtype="S16")
    keys = keys_with_hashes(np.zeros(rows, dtype=np.uint32), hashes)
    cut = Cut.before_counting(classes, wanted, np.bincount(labels))
    while cut.undecided.sum() > 1000 and cut.shift > 0:
        counts = DigitCounts(cut)
        counts.add(labels, keys, cut.undecided_mask(labels, keys, cut.inside(labels, keys)))
        cut = narrowed(cut, counts.table)
    assert cut.undecided.sum() <= 1000
    sure = keys < cut.lower[labels]
    assert (np.bincount(labels[sure], minlength=classes) + cut.wanted).tolist() == wanted.tolist()
    for label in range(classes):
        assert keys[sure & (labels == label)].max(initial=0) <= np.sort(keys[labels == label])[wanted[label] - 1]


@given(st.floats(0, 1, width=32))
def test_a_threshold_on_confidence_is_one_on_doubt_to_the_last_row(minimum: float) -> None:
    near = np.float32(1) - np.float32(minimum)
    doubts = np.clip(
        np.array([near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(2)), 0, 1, 1e-30]), 0, 1
    ).astype(np.float32)
    np.testing.assert_array_equal(
        doubts <= largest_doubts(np.array(minimum)), confidence_of(doubts) >= np.float32(minimum)
    )


def test_another_seed_repeats_other_images_and_keeps_the_same_ones(tmp_path: Path) -> None:
    shards = [[Row(0, 0.1, digest(1))] * 100 + [Row(1, 0.1, digest(2))] * 150]
    chosen = []
    for seed in (1, 2):
        folder = Folder(tmp_path / str(seed))
        folder.write_labels(shards)
        folder.run(seed=seed)
        chosen.append(folder.all_copies(1))
    assert chosen[0].keys() == chosen[1].keys()
    assert chosen[0] != chosen[1]


@given(shards_strategy, st.sampled_from([10**9, 5]))
@settings(max_examples=100, deadline=None)
def test_of_equal_images_only_the_first_is_selected_where_that_is_asked(
    shards: list[list[Row]], rows_at_a_time: int
) -> None:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_ROWS_AT_A_TIME", rows_at_a_time)
        folder = Folder(Path(root))
        folder.write_labels(shards)
        seen: set[bytes] = set()
        unique: list[list[Row]] = []
        for rows in shards:
            unique.append([])
            for each in rows:
                repeated = each.label >= 0 and not each.excluded and each.hash in seen
                if each.label >= 0 and not each.excluded:
                    seen.add(each.hash)
                unique[-1].append(Row(each.label, each.doubt, each.hash, excluded=True) if repeated else each)
        selection = SelectionSettings(min_confidence=0.0, duplicates="drop")
        if not seen:
            return
        listed = write_duplicates(str(folder.root / "labels"), [len(rows) for rows in shards], alive=lambda: None)
        result = folder.run(settings=selection)
        check_against_reference(unique, selection, folder.all_copies(len(shards)))
        usable = sum(each.label >= 0 and not each.excluded for rows in shards for each in rows)
        assert result.dropped_duplicates == listed == usable - len(seen)
        assert result.dropped_held_out == sum(each.label >= 0 and each.excluded for rows in shards for each in rows)


SHARDS = [
    [Row(0, 0.1, digest(1)), Row(-1, 0.0, digest(2)), Row(0, 0.8, digest(3)), Row(1, 0.2, digest(4))],
    [],
    [Row(0, 0.5, digest(5)), Row(0, 0.4, digest(6)), Row(0, 0.05, digest(9), excluded=True)],
]


def test_the_stage_writes_a_file_for_every_shard_and_the_numbers_add_up(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    result = folder.run(settings=SelectionSettings(max_per_class=2))

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


def test_nothing_selected_is_bad_data_and_names_the_threshold(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    with pytest.raises(StageError, match=r"min_confidence 0\.99") as caught:
        folder.run(settings=SelectionSettings(min_confidence=0.99))
    assert caught.value.reason is FailureReason.BAD_DATA
    assert not list((tmp_path / "select").glob("part-*"))


def test_a_row_with_a_doubt_and_no_label_is_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    path = tmp_path / "labels" / "part-00000.parquet"
    table = pq.read_table(path)
    labels = pa.array([None, *table["label"].to_pylist()[1:]], pa.int32())
    doubts = pa.array([0.1, *table["doubt"].to_pylist()[1:]], pa.float32())
    place = table.schema.get_field_index
    changed = table.set_column(place("label"), "label", labels).set_column(place("doubt"), "doubt", doubts)
    pq.write_table(changed, path)
    with pytest.raises(StageError, match=r"part-00000\.parquet has a doubt and no label in row 0") as caught:
        folder.run()
    assert caught.value.reason is FailureReason.BAD_DATA


def test_a_missing_or_damaged_label_file_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    damaged = tmp_path / "labels" / "part-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(StageError, match=r"part-00001\.parquet"):
        folder.run()
    damaged.unlink()
    with pytest.raises(StageError, match=r"part-00001\.parquet"):
        folder.run()


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write_labels(SHARDS)
    with pytest.raises(StageError, match="label 1 of 1 classes"):
        folder.run(classes=("a",))


def test_the_stage_needs_neither_ray_nor_torch_nor_pandas_to_read_and_to_write(tmp_path: Path) -> None:
    import subprocess
    import sys

    folder = Folder(tmp_path)
    folder.write_labels([*SHARDS, [Row(0, 0.1, digest(1))]])
    code = f"""
import sys
import numpy as np
from workers.selection import label_rows, selection_files, stage
for shard in range({len(SHARDS) + 1}):
    rows = label_rows.read_label_rows({str(tmp_path / "labels")!r}, shard, {CLASSES})
    label_rows.read_hashes({str(tmp_path / "labels")!r}, shard)
    selection_files.selection_parquet(rows.labels, rows.labels)
    selection_files.aligned_parquet(rows.labels, rows.doubts)
print([name for name in ("ray", "torch", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
