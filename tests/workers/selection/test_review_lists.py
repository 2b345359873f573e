"""The lists of labels that are worth a look hold the best rows of each class, compared with sorting everything."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.support.made_soft_labels import Place, SoftPool
from workers.data import review_lists
from workers.data.errors import ShardReadError
from workers.data.review_lists import read_review_list
from workers.selection import shard_ranges
from workers.specs.review import EarlierLabels, ReviewOrder
from workers.specs.selection import SelectionSettings

CLASSES, MOST = 4, 6
SETTINGS = SelectionSettings(min_confidence=0.5, fill_up=False)
ROWS = (50, 0, 3, 70, 41)


def made_pool(root: Path, seed: int) -> SoftPool:
    rng = np.random.default_rng(seed)
    shards = [rng.dirichlet([1.0, 0.7, 0.5, 0.2], size=rows).reshape(rows, CLASSES) for rows in ROWS]
    return SoftPool(root, shards, CLASSES, broken=frozenset({(0, 0)}), excluded=frozenset({(3, 1)}))


def of(pool: SoftPool) -> EarlierLabels:
    return EarlierLabels(labels_uri=str(pool.root / "labels"), selection_uri=str(pool.root / "select"))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_lists, "_ROWS_OF_A_LIST", 2 * CLASSES * MOST)
    monkeypatch.setattr(shard_ranges, "ROWS_WORTH_A_PROCESS", 10**9)


def listed(pool: SoftPool, order: ReviewOrder) -> list[Place]:
    found = read_review_list(str(pool.root / "select"), order)
    assert found is not None
    return list(zip(found.shards.tolist(), found.rows.tolist(), strict=True))


def best(places: list[Place], group_of: dict[Place, object], key_of: dict[Place, float]) -> list[Place]:
    groups: dict[object, list[Place]] = defaultdict(list)
    for place in sorted(places, key=lambda each: (key_of[each], each)):
        groups[group_of[place]].append(place)
    kept = {place for group in groups.values() for place in group[:MOST]}
    return sorted(kept, key=lambda each: (key_of[each], each))


def facts(pool: SoftPool) -> tuple[dict[Place, int], dict[Place, float], dict[Place, object]]:
    """Each row's label, doubt, and group: its label together with whether it was selected."""
    labels = {(s, r): int(row.argmax()) for s, rows in enumerate(pool.shards) for r, row in enumerate(rows)}
    doubts = {
        (s, r): float(np.float32(1 - row.max())) for s, rows in enumerate(pool.shards) for r, row in enumerate(rows)
    }
    selected = pool.selected()
    return labels, doubts, {place: (label, place in selected) for place, label in labels.items()}


@pytest.mark.usefixtures("few")
def test_the_least_confident_of_each_class_are_listed_selected_ones_and_others(tmp_path: Path) -> None:
    pool = made_pool(tmp_path, 1)
    pool.select(SETTINGS)
    _, doubts, groups = facts(pool)
    assert listed(pool, "uncertain") == best(pool.usable(), groups, {place: -doubt for place, doubt in doubts.items()})
    assert read_review_list(str(tmp_path / "select"), "changed") is None


@pytest.mark.usefixtures("few")
def test_what_has_changed_since_the_generation_before_is_listed_for_both(tmp_path: Path) -> None:
    before, pool = made_pool(tmp_path / "before", 1), made_pool(tmp_path / "now", 2)
    before.select(SETTINGS)
    pool.select(
        SETTINGS,
        earlier=EarlierLabels(labels_uri=str(before.root / "labels"), selection_uri=str(before.root / "select")),
    )
    old_labels, _, old_groups = facts(before)
    labels, doubts, groups = facts(pool)
    changed = [place for place in pool.usable() if labels[place] != old_labels[place]]
    assert len(changed) > 100
    assert listed(pool, "changed") == best(changed, groups, doubts)
    assert listed(pool, "disagrees") == best(changed, old_groups, doubts)


@pytest.mark.usefixtures("few")
def test_a_pool_that_grew_is_compared_where_it_was_labeled_before(tmp_path: Path) -> None:
    pool = made_pool(tmp_path / "now", 2)
    before = SoftPool(tmp_path / "before", made_pool(tmp_path / "whole", 1).shards[:3], CLASSES)
    before.select(SETTINGS)
    pool.select(
        SETTINGS,
        earlier=EarlierLabels(labels_uri=str(before.root / "labels"), selection_uri=str(before.root / "select")),
    )
    assert {shard for shard, _ in listed(pool, "changed")} == {0, 2}


@pytest.mark.usefixtures("few")
def test_labels_of_the_generation_before_that_are_gone_are_no_error(tmp_path: Path) -> None:
    pool = made_pool(tmp_path, 2)
    gone = EarlierLabels(labels_uri=str(tmp_path / "gone"), selection_uri=str(tmp_path / "gone"))
    pool.select(SETTINGS, earlier=gone)
    assert listed(pool, "changed") == listed(pool, "disagrees") == []


@pytest.mark.parametrize(("classes", "rows"), [(2, 250), (100, 250), (1000, 25), (21_841, 4)])
def test_a_list_stays_small_for_any_number_of_classes(classes: int, rows: int) -> None:
    assert review_lists.rows_of_a_group(classes) == rows


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "review").mkdir()
    (tmp_path / "review" / "changed.parquet").write_bytes(b"no parquet")
    with pytest.raises(ShardReadError, match=r"review/changed\.parquet"):
        read_review_list(str(tmp_path), "changed")
