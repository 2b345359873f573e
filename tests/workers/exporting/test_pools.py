"""Pseudo labels with their pictures in three formats, read back by those who read such files."""

import csv
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tests.support.labeled_pool import BROKEN, CLASSES, EQUAL, HELD, NEAR, SETTINGS, LabeledPool, picture
from workers.data.pool_labels import LABEL_SCHEMA, PoolLabels
from workers.exporting.pools import export as export_module
from workers.exporting.pools.export import ExportRequest, FinishedExport, LabelExportFailed, export_pool
from workers.exporting.pools.folders import folder_names
from workers.specs.label_export import LabelFilter, PictureFormat
from workers.specs.selection import SelectionSettings


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> LabeledPool:
    return LabeledPool(tmp_path_factory.mktemp("pool"))


def table(pool: LabeledPool, **wanted: object) -> pa.Table:
    labels = PoolLabels(pool.source())
    which = LabelFilter.model_validate({"which": "all", **wanted})
    batches = [batch for shard in range(3) for batch in labels.batches(shard, which)]
    return pa.Table.from_batches(batches, LABEL_SCHEMA)


def export(pool: LabeledPool, kind: PictureFormat, folder: Path, limit: int | None = None) -> FinishedExport:
    request = ExportRequest(format=kind, source=pool.source(), wanted=LabelFilter(), limit_per_class=limit)
    return export_pool(request, folder, lambda done, total: None)


def test_each_row_says_whether_it_is_selected_or_why_not(pool: LabeledPool) -> None:
    rows = {(row["shard"], row["row"]): row for row in table(pool).to_pylist()}
    selection, result = pool.selection(), pool.result
    assert len(rows) == 42
    assert {place: row["copies"] for place, row in rows.items() if row["selected"]} == selection
    reasons = [row["not_selected_because"] for row in rows.values()]
    assert reasons.count("broken") == result.dropped_bad == 1
    assert reasons.count("held_out") == result.dropped_held_out == 1
    assert reasons.count("near_duplicate") == result.dropped_near_duplicates == 1
    assert reasons.count("duplicate") == result.dropped_duplicates == 1
    assert reasons.count("low_confidence") == result.dropped_low_confidence > 0
    assert reasons.count("not_among_the_best") == result.dropped_over_cap > 0
    assert reasons.count(None) == len(selection) == result.kept
    assert [rows[place]["not_selected_because"] for place in (BROKEN, HELD, NEAR, EQUAL)] == [
        "broken",
        "held_out",
        "near_duplicate",
        "duplicate",
    ]
    assert (rows[BROKEN]["label"], rows[BROKEN]["confidence"], rows[BROKEN]["top_classes"]) == (None, None, None)


def test_a_row_has_the_label_its_confidence_and_where_it_comes_from(pool: LabeledPool) -> None:
    stored = pq.read_table(pool.root / "label" / "part-00002.parquet").to_pylist()
    for row in table(pool).to_pylist()[12:]:
        of_file = stored[row["row"]]
        for name in ("key", "label", "confidence", "top_classes"):
            assert row[name] == of_file[name]
        assert row["content_hash"] == of_file["content_hash"].hex()
        assert row["label_name"] == CLASSES[row["label"]]
        assert (row["teacher_label"], row["teacher_confidence"]) == (row["label"], row["confidence"])
        assert (row["run"], row["generation"], row["teachers"]) == ("run-1", 1, "run-1-g0")


def test_selected_and_confident_rows_are_all_that_is_wanted(pool: LabeledPool) -> None:
    found = table(pool, which="selected")
    assert {(row["shard"], row["row"]) for row in found.to_pylist()} == set(pool.selection())
    sure = table(pool, min_confidence=0.9)
    assert 0 < len(sure) < 42
    assert min(sure["confidence"].to_pylist()) >= np.float32(0.9)


def test_aligned_labels_are_those_that_selection_went_by(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"distribution_alignment": "uniform", "max_per_class": None})
    aligned = LabeledPool(tmp_path, settings=settings)
    rows = table(aligned).to_pylist()
    assert any(row["confidence"] != row["teacher_confidence"] for row in rows)
    by_class = [sum(row["label"] == index for row in rows if row["selected"]) for index in range(3)]
    assert by_class == [each.kept for each in aligned.result.classes]
    reasons = [row["not_selected_because"] for row in rows]
    assert reasons.count("low_confidence") == aligned.result.dropped_low_confidence


def test_a_class_that_a_person_gave_is_the_label_and_a_wrong_one_is_left_out(pool: LabeledPool, tmp_path: Path) -> None:
    before = table(pool).to_pylist()
    unsure = next(row for row in before if row["not_selected_because"] == "low_confidence")
    sure = next(row for row in before if row["selected"])
    other = (unsure["label"] + 1) % 3
    marked = LabeledPool(
        tmp_path,
        marks=[
            ((unsure["shard"], unsure["row"]), other, frozenset()),
            ((sure["shard"], sure["row"]), None, frozenset({sure["label"]})),
            (HELD, 1, frozenset()),
        ],
    )
    rows = {(row["shard"], row["row"]): row for row in table(marked).to_pylist()}
    given, wrong, held = (
        rows[place] for place in ((unsure["shard"], unsure["row"]), (sure["shard"], sure["row"]), HELD)
    )
    assert (given["label"], given["confidence"], given["label_from"], given["selected"]) == (other, 1.0, "person", True)
    assert (given["teacher_label"], given["teacher_confidence"]) == (unsure["label"], unsure["confidence"])
    assert (given["top_classes"], given["top_probabilities"]) == ([other], [1.0])
    assert (wrong["selected"], wrong["not_selected_because"]) == (False, "marked_wrong")
    assert (held["selected"], held["not_selected_because"]) == (False, "held_out")
    assert {place: row["copies"] for place, row in rows.items() if row["selected"]} == marked.selection()
    assert {row["label_from"] for row in rows.values() if row["label"] is not None} == {"teacher", "person"}


def test_thresholds_of_classes_decide_what_was_too_unsure(tmp_path: Path) -> None:
    settings = SelectionSettings(min_confidence=0.9, thresholds="flexmatch", duplicates="drop", near_duplicates="drop")
    found = LabeledPool(tmp_path, settings=settings)
    reasons = [row["not_selected_because"] for row in table(found).to_pylist()]
    assert len({each.threshold for each in found.result.classes}) > 1
    assert reasons.count("low_confidence") == found.result.dropped_low_confidence
    assert reasons.count("not_among_the_best") == 0


def test_webdataset_shards_have_each_picture_with_its_class_and_its_origin(pool: LabeledPool, tmp_path: Path) -> None:
    assert export(pool, "webdataset", tmp_path).images == len(pool.selection())
    found: dict[tuple[int, int], dict[str, bytes]] = {}
    for file in sorted(tmp_path.glob("*.tar")):
        with tarfile.open(file) as archive:
            for entry in archive:
                name, _, part = entry.name.partition(".")
                shard, row = map(int, name.split("-"))
                content = archive.extractfile(entry)
                assert content is not None
                found.setdefault((shard, row), {})[part] = content.read()
    assert set(found) == set(pool.selection())
    for (shard, row), parts in found.items():
        assert parts["png" if row % 2 else "jpg"] == picture(shard, row)
        about = json.loads(parts["json"])
        assert about["label_name"] == CLASSES[int(parts["cls"])]
        assert (about["key"], about["run"], about["copies"]) == (
            pool.keys[shard][row],
            "run-1",
            pool.selection()[shard, row],
        )


def test_a_hugging_face_folder_is_loaded_by_the_datasets_library(
    pool: LabeledPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder = tmp_path / "out"
    export(pool, "huggingface", folder)
    names = sorted(each.name for each in (folder / "data").iterdir())
    assert names == [f"train-{shard:05d}-of-00003.parquet" for shard in range(3)]
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.features["label"].names == list(CLASSES)
    assert isinstance(loaded.features["image"], datasets.Image)
    assert len(loaded) == len(pool.selection())
    by_key = {(row["content_hash"]): row for row in loaded}
    for expected in table(pool, which="selected").to_pylist():
        row = by_key[expected["content_hash"]]
        assert (row["key"], row["label"], row["generation"]) == (expected["key"], expected["label"], 1)
        assert row["confidence"] == pytest.approx(expected["confidence"])
        assert row["top_classes"] == expected["top_classes"]
        pixels = np.asarray(Image.open(io.BytesIO(picture(expected["shard"], expected["row"]))))
        assert (np.asarray(row["image"]) == pixels).all()
    # The library reads the same features from the files alone.
    plain = datasets.Dataset.from_parquet(str(folder / "data" / names[2]), cache_dir=str(tmp_path / "cache"))
    assert plain.features == loaded.features
    header = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert header["dataset_info"]["splits"] == [{"name": "train", "num_examples": len(loaded)}]


def test_class_folders_have_links_by_confidence(tmp_path: Path) -> None:
    (tmp_path / "of").mkdir()
    pool = LabeledPool(tmp_path / "of", as_files=True)
    folder = tmp_path / "links"
    export(pool, "folders", folder, limit=2)
    rows = table(pool, which="selected").to_pylist()
    for index, name in enumerate(folder_names(CLASSES)):
        best = sorted((row["confidence"] for row in rows if row["label"] == index), reverse=True)[:2]
        links = sorted((folder / name).iterdir())
        assert [float(link.name[:6]) for link in links] == pytest.approx(sorted(best), abs=1e-4)
        for link in links:
            _, shard, row = link.stem.split("-")
            assert link.read_bytes() == picture(int(shard), int(row))
            assert Path(os.readlink(link)).is_absolute()
    with (folder / "manifest.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(list(folder.glob("*/*"))) == 6
    assert all((folder / line["link"]).exists() for line in lines)


def test_pictures_that_are_no_files_are_listed_in_the_manifest(pool: LabeledPool, tmp_path: Path) -> None:
    export(pool, "folders", tmp_path)
    with (tmp_path / "manifest.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(pool.selection())
    assert {line["link"] for line in lines} == {""}
    assert {Path(line["place"]).name for line in lines} <= {"s0.parquet", "s2.parquet"}


@pytest.mark.parametrize("kind", ["webdataset", "huggingface"])
def test_a_stopped_export_continues_and_makes_the_same_files(
    pool: LabeledPool, tmp_path: Path, kind: PictureFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(export_module, "_PARTS_AT_ONCE", 1)
    request = ExportRequest(format=kind, source=pool.source(), wanted=LabelFilter(), limit_per_class=None)
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        export_pool(request, folder, stop)
    assert not (folder / "labels.json").exists()
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.[tp]ar*") if file.is_file()}
    assert before
    finished = export_pool(request, folder, lambda done, total: None)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert export_pool(request, folder, stop) == finished, "a finished export is left as it is"
    whole = tmp_path / "whole"
    assert export_pool(request, whole, lambda done, total: None) == finished
    files = {file.relative_to(whole): file.read_bytes() for file in whole.rglob("*") if file.is_file()}
    assert {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()} == files


def test_a_folder_with_something_else_is_left_alone(pool: LabeledPool, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(LabelExportFailed, match="holds something else"):
        export(pool, "webdataset", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    other = tmp_path / "other"
    export(pool, "webdataset", other)
    with pytest.raises(LabelExportFailed, match="holds something else"):
        export(pool, "webdataset", other, limit=1)


def test_no_two_classes_share_a_folder_and_none_leaves_its_place() -> None:
    names = folder_names(["a", "A", "../x", "", "a/b", "a_b", "manifest.csv"])
    assert len({name.lower() for name in names}) == len(names)
    assert all("/" not in name and not name.startswith(".") and name for name in names)
    assert "manifest.csv" not in names
