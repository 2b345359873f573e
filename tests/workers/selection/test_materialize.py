"""A materialized selection has exactly the selected rows and copies, shuffled as a whole. The pool is a loop here."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workers.data.marks import Mark, marks_parquet
from workers.data.order.random_order import copy_keys
from workers.data.shards import materialized_shards
from workers.data.shards.materialized_shards import read_index, training_shard_uri
from workers.labeling.label_files import Hygiene, label_table, write_label_file
from workers.runtime.shard_pool import ShardDone, ShardFunction
from workers.runtime.stage_reporter import StageReporter
from workers.selection import materialize as module
from workers.selection import training_shards
from workers.selection.shuffle import RunPart, Shuffle
from workers.selection.stage import run_select
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import PseudoLabels
from workers.specs.recipe import Recipe
from workers.specs.results import SelectResult
from workers.specs.selection import Materialization, SelectionSettings
from workers.specs.stages import ActorPool, SelectSpec
from workers.training.input import sources
from workers.training.input.sources import PseudoLabeledSource, SampleSource, pseudo_labeled_source

CLASSES = ("a", "b", "c")
SHARD_ROWS = (40, 0, 7, 90, 1, 62)


class Killed(Exception):
    """Raised in place of a SIGKILL."""


class Pool:
    """Shards of small, distinct pictures with labels, and the select stage with its actors in this process."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.done: list[tuple[str, int]] = []
        self.kill_after: int | None = None
        rng = np.random.default_rng(5)
        shards = []
        self.hashes: list[list[bytes]] = []
        for number, rows in enumerate(SHARD_ROWS):
            images = [picture(number, row) for row in range(rows)]
            pq.write_table(pa.table({"image": pa.array(images, pa.binary())}), root / f"s{number}.parquet")
            shards.append(Shard(uri=str(root / f"s{number}.parquet"), rows=rows))
            probabilities = rng.dirichlet([2.0, 1.0, 0.3], size=rows).astype(np.float32).reshape(rows, 3)
            hashes = [rng.bytes(16) for _ in range(rows)]
            self.hashes.append(hashes)
            keys = [f"s{number}.parquet:{row}" for row in range(rows)]
            table, _ = label_table(keys, Hygiene(hashes, [None] * rows, {}, {}), probabilities, top_k=10)
            write_label_file(str(root / "labels"), number, table, {})
        manifest = DatasetManifest(
            dataset_id="d", role="unlabeled", format="parquet", classes=(), rows=sum(SHARD_ROWS), shards=tuple(shards)
        )
        (root / "manifest.json").write_text(manifest.model_dump_json())
        monkeypatch.setattr(module, "map_shards", self._map_shards)
        for reader_or_writer in (materialized_shards, training_shards, sources):
            monkeypatch.setattr(reader_or_writer, "ROW_GROUP_ROWS", 7)

    def select(
        self,
        folder: str = "select",
        rows_per_shard: int | None = 11,
        seed: int = 4,
        marks_uri: str | None = None,
        **settings: object,
    ) -> SelectResult:
        self.done = []
        materialize = None if rows_per_shard is None else Materialization(rows_per_shard=rows_per_shard)
        asked = SelectionSettings(min_confidence=0.5, max_per_class=70, materialize=materialize)
        spec = SelectSpec(
            run_id="r",
            generation=1,
            attempt=1,
            folder_uri=str(self.root / folder),
            seed=seed,
            manifest_uri=str(self.root / "manifest.json"),
            labels_uri=str(self.root / "labels"),
            classes=CLASSES,
            settings=asked.model_copy(update=settings),
            marks_uri=marks_uri,
        )
        (self.root / folder).mkdir(exist_ok=True)
        return run_select(spec, StageReporter(spec, entered_at=0.0))

    def pseudo_labels(self, folder: str, fraction: float = 1.0) -> PseudoLabels:
        return PseudoLabels(
            manifest_uri=str(self.root / "manifest.json"),
            labels_uri=str(self.root / "labels"),
            selection_uri=str(self.root / folder),
            fraction=fraction,
        )

    def files(self, folder: str) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (self.root / folder / "materialized").rglob("*.*")}

    def _map_shards(
        self, make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> Iterator[ShardDone]:
        function = make_function()
        for shard in shard_indices:
            if self.kill_after == len(self.done):
                raise Killed
            payload = function(shard)
            self.done.append((type(function).__name__, shard))
            yield ShardDone(shard, 1.0, 2.0, payload)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    return Pool(tmp_path, monkeypatch)


def picture(shard: int, row: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), (shard, row, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


def samples(source: SampleSource) -> Counter[tuple[bytes, bytes]]:
    return Counter(
        (image, target.tobytes())
        for shard, rows in enumerate(source.rows_per_shard)
        for image, target in (source.sample(shard, row) for row in range(rows))
    )


@pytest.mark.parametrize("rows_per_shard", [1, 11, 50, 10_000])
@pytest.mark.parametrize("recipe", [Recipe(temperature=0.5), Recipe(targets="hard")])
def test_training_shards_hold_exactly_what_the_pool_gives(pool: Pool, rows_per_shard: int, recipe: Recipe) -> None:
    """Training shards have every selected image as often as selected, each time with its own target."""
    result = pool.select(rows_per_shard=rows_per_shard)
    assert result.copies > result.kept, "some are repeated"
    pseudo_labels = pool.pseudo_labels("select")
    materialized = pseudo_labeled_source(pseudo_labels, len(CLASSES), recipe)
    assert sum(materialized.rows_per_shard) == result.copies
    assert result.training_shards == -(-result.copies // rows_per_shard)
    assert max(materialized.rows_per_shard) <= 7
    assert samples(materialized) == samples(PseudoLabeledSource(pseudo_labels, len(CLASSES), recipe))


@pytest.mark.parametrize("recipe", [Recipe(temperature=0.5), Recipe(targets="hard")])
def test_training_shards_of_aligned_labels_give_what_the_pool_gives(pool: Pool, recipe: Recipe) -> None:
    pool.select("plain")
    pool.select("aligned", distribution_alignment="uniform")
    pseudo_labels = pool.pseudo_labels("aligned")
    found = samples(pseudo_labeled_source(pseudo_labels, len(CLASSES), recipe))
    assert found == samples(PseudoLabeledSource(pseudo_labels, len(CLASSES), recipe))
    assert found != samples(pseudo_labeled_source(pool.pseudo_labels("plain"), len(CLASSES), recipe))
    if recipe.targets == "hard":
        files = sorted((pool.root / "aligned" / "materialized").glob("train-*.parquet"))
        stored = pa.concat_tables(pq.read_table(file, columns=["image", "label"]) for file in files).to_pylist()
        one_hot = np.eye(len(CLASSES), dtype=np.float32)
        assert Counter((row["image"], one_hot[row["label"]].tobytes()) for row in stored) == found


@pytest.mark.parametrize("alignment", ["none", "uniform"])
def test_training_shards_hold_the_classes_that_people_gave(pool: Pool, alignment: str) -> None:
    marks = [Mark(pool.hashes[0][row], label=2) for row in range(5)]
    marks += [Mark(pool.hashes[3][row], None, frozenset({0})) for row in range(30)]
    (pool.root / "marks.parquet").write_bytes(marks_parquet(marks))
    marks_uri = str(pool.root / "marks.parquet")
    pool.select("plain", distribution_alignment=alignment)
    result = pool.select("marked", distribution_alignment=alignment, marks_uri=marks_uri)
    assert result.marks.given == 5
    assert result.marks.wrong > 0
    pseudo_labels = pool.pseudo_labels("marked")
    found = samples(pseudo_labeled_source(pseudo_labels, len(CLASSES), Recipe()))
    assert found == samples(PseudoLabeledSource(pseudo_labels, len(CLASSES), Recipe()))
    given = np.array([0, 0, 1], dtype=np.float32).tobytes()
    assert all(found[picture(0, row), given] for row in range(5))
    assert found != samples(pseudo_labeled_source(pool.pseudo_labels("plain"), len(CLASSES), Recipe()))


def test_a_share_of_the_training_shards_is_the_same_share_of_the_pool(pool: Pool) -> None:
    pool.select()
    pseudo_labels = pool.pseudo_labels("select", fraction=0.3)
    found = samples(pseudo_labeled_source(pseudo_labels, 3, Recipe()))
    assert 0 < found.total() < 100
    assert found == samples(PseudoLabeledSource(pseudo_labels, 3, Recipe()))


def test_a_selection_that_is_not_materialised_is_read_from_the_pool(pool: Pool) -> None:
    result = pool.select(rows_per_shard=None)
    assert result.training_shards is None
    assert isinstance(pseudo_labeled_source(pool.pseudo_labels("select"), 3, Recipe()), PseudoLabeledSource)


def test_a_row_says_where_it_comes_from(pool: Pool) -> None:
    pool.select()
    for row in pq.read_table(training_shard_uri(str(pool.root / "select"), 0)).to_pylist():
        assert row["image"] == picture(row["pool_shard"], row["pool_row"])
        assert row["key"] == f"s{row['pool_shard']}.parquet:{row['pool_row']}"
        labels = pq.read_table(pool.root / "labels" / f"part-{row['pool_shard']:05d}.parquet")
        label = labels.slice(row["pool_row"], 1).to_pylist()[0]
        assert {name: row[name] for name in ("label", "top_classes", "top_probabilities")} == {
            name: label[name] for name in ("label", "top_classes", "top_probabilities")
        }


@pytest.mark.parametrize("kill_after", [0, 1, 3, 5, 12])
def test_a_rerun_after_a_kill_gives_the_same_files_and_repeats_none(pool: Pool, kill_after: int) -> None:
    pool.select("undisturbed")
    assert pool.done, "the pool was used"
    everything = pool.done
    pool.kill_after = kill_after
    with pytest.raises(Killed):
        pool.select("killed")
    before = pool.done
    assert read_index(str(pool.root / "killed")) is None
    (pool.root / "killed" / "materialized" / "runs").mkdir(parents=True, exist_ok=True)
    for half in ("runs/.run-00001.arrow.0123456789ab.tmp", ".train-00001.parquet.0123456789ab.tmp"):
        (pool.root / "killed" / "materialized" / half).write_bytes(b"half")
    pool.kill_after = None
    pool.select("killed")
    assert pool.files("killed") == pool.files("undisturbed")
    runs = [each for each in before + pool.done if each[0] == "RunWriter"]
    assert len(runs) == len(set(runs)) == len([each for each in everything if each[0] == "RunWriter"])
    assert not (pool.root / "killed" / "materialized" / "runs").exists()


def test_a_rerun_of_what_is_finished_does_nothing(pool: Pool) -> None:
    first = pool.select()
    second = pool.select()
    assert pool.done == []
    assert (second.training_shards, second.training_shard_bytes) == (first.training_shards, first.training_shard_bytes)


def test_another_seed_gives_another_order(pool: Pool) -> None:
    pool.select("one", seed=1)
    pool.select("two", seed=2)
    assert pool.files("one") != pool.files("two")


def test_training_shards_are_shuffled_as_a_whole() -> None:
    """For 200,000 rows, the position in the pool says nothing about the position in training.

    There is no correlation, and every training shard has as many rows from each tenth of the pool as expected by chance
    (chi-squared test).
    """
    rows = np.arange(200_000)
    keys = copy_keys(7, 3, rows, np.zeros(len(rows), dtype=np.int64))
    shuffle = Shuffle.of([len(rows)], len(rows), rows_per_shard=4000)
    shards = shuffle.training_shard_of(keys)
    assert abs(np.corrcoef(rows, np.argsort(np.argsort(keys)))[0, 1]) < 4 / np.sqrt(len(rows))
    counts = np.histogram2d(shards, rows, bins=(50, 10))[0]
    chi_squared = ((counts - 400) ** 2 / 400).sum()
    assert abs(chi_squared - 49 * 9) < 5 * np.sqrt(2 * 49 * 9)
    assert counts.sum() == len(rows)


def test_copies_of_a_row_go_their_own_ways() -> None:
    keys = copy_keys(7, 0, np.zeros(1000, dtype=np.int64), np.arange(1000))
    assert len(np.unique(keys)) == 1000
    assert 400 < np.count_nonzero(keys < np.uint64(1 << 63)) < 600


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5), st.integers(1, 3))
def test_runs_cover_every_selected_row_once_and_in_order(kept: list[int], rows_per_shard: int, copies: int) -> None:
    shuffle = Shuffle.of(kept, sum(kept) * copies, rows_per_shard)
    parts = [list(shuffle.parts(run)) for run in range(shuffle.runs)]
    rows = [(part.shard, row) for run in parts for part in run for row in range(part.first, part.end)]
    assert rows == [(shard, row) for shard, count in enumerate(kept) for row in range(count)]
    assert all(sum(part.end - part.first for part in run) <= 4 * rows_per_shard for run in parts)
    assert RunPart(0, 0, 0) not in [part for run in parts for part in run]
