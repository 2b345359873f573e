"""The parts of the measure stage on real pictures in this process, without Ray."""

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from workers.data.shards.shard_readers import load_manifest, read_shard
from workers.data.shards.uri_lists import ListEntry, write_part
from workers.measuring import stage
from workers.measuring.clean_probe import CleanProbe, steady, write_fresh_model
from workers.measuring.cluster import room_for
from workers.measuring.sample import draw_sample, spread
from workers.measuring.sampled_run import SampledRun
from workers.measuring.select_probe import measure_select
from workers.measuring.stage import _distinct_looks, _draw_samples, _sampled_run
from workers.measuring.training_probe import measure_trainings
from workers.models.predictor import Predictor
from workers.runtime.capacity import ClusterView, Node, ResourceDemand
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import LabelingModel, Views
from workers.specs.measure import CleanMeasurement, MeasuredStudent
from workers.specs.noise import Noise
from workers.specs.optimization import Schedule
from workers.specs.recipe import Recipe, ResolutionStep
from workers.specs.reports import FailureReason
from workers.specs.robustness import AdversarialSettings, CorruptionSettings, RobustnessSettings, StabilitySettings
from workers.specs.stages import ActorPool, MeasureSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.group.session import LoneSession

CLASSES = ("a", "b", "c")
SHARD_ROWS = 20
RECIPE = Recipe(
    image_size=16,
    crop="none",
    steps=100,
    batch_size=4,
    unlabeled_ratio=0,
    noise=Noise(dropout=0.1, drop_path=0.1),
    schedule=Schedule(warmup_steps=1),
)


def _write(folder: Path, name: str, shards: int, labeled: bool) -> str:
    rng = np.random.default_rng(0)
    (folder / name).mkdir()
    for index in range(shards):
        images = []
        for _ in range(SHARD_ROWS):
            buffer = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(buffer, "PNG")
            images.append(buffer.getvalue())
        columns: dict[str, Any] = {"image": images}
        if labeled:
            columns["label"] = [CLASSES[row % 3] for row in range(SHARD_ROWS)]
        pq.write_table(pa.table(columns), folder / name / f"{index}.parquet")
    manifest = DatasetManifest(
        dataset_id=name,
        role="labeled" if labeled else "unlabeled",
        format="parquet",
        classes=CLASSES if labeled else (),
        label_column="label" if labeled else None,
        rows=shards * SHARD_ROWS,
        shards=tuple(Shard(uri=str(folder / name / f"{i}.parquet"), rows=SHARD_ROWS) for i in range(shards)),
    )
    (folder / name / "manifest.json").write_text(manifest.model_dump_json())
    return str(folder / name / "manifest.json")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> MeasureSpec:
    folder = tmp_path_factory.mktemp("measured")
    student = RECIPE.model_copy(
        update={"unlabeled_ratio": 2.0, "resolution_step": ResolutionStep(image_size=24, steps=5)}
    )
    return MeasureSpec(
        run_id="plan-1",
        generation=0,
        attempt=1,
        folder_uri=str(folder / "stage"),
        seed=3,
        classes=CLASSES,
        students=(
            MeasuredStudent(model="test_resnet", recipe=RECIPE, pseudo_labeled=False),
            MeasuredStudent(model="test_resnet", recipe=student, pseudo_labeled=True),
        ),
        labeled_manifest_uri=_write(folder, "labeled", 1, labeled=True),
        unlabeled_manifest_uri=_write(folder, "unlabeled", 3, labeled=False),
        validation_manifest_uri=_write(folder, "validation", 1, labeled=True),
        test_manifest_uri=_write(folder, "test", 1, labeled=True),
        robustness=RobustnessSettings(
            corruptions=CorruptionSettings(kinds=("contrast",), severities=(1,)),
            stability=StabilitySettings(kinds=("brightness",), frames=2),
            adversarial=AdversarialSettings(epsilons=(1.0,), pgd_steps=1),
        ),
        corrupted_validation=True,
        workers=WorkerGroup(),
        pool=ActorPool(),
        sample_seconds=0.05,
    )


@pytest.fixture(scope="module")
def run(spec: MeasureSpec) -> SampledRun:
    folder = spec.folder_uri + "/sample"
    return _sampled_run(spec, _draw_samples(spec, folder), folder)


def test_a_sample_is_a_dataset_of_whole_shards_and_a_part_of_the_last(spec: MeasureSpec, tmp_path: Path) -> None:
    assert spec.unlabeled_manifest_uri is not None
    sample = draw_sample(spec.unlabeled_manifest_uri, str(tmp_path), most_images=25)
    assert load_manifest(sample.manifest_uri) == sample.manifest
    assert [shard.rows for shard in sample.manifest.shards] == [20, 5]
    original = load_manifest(spec.unlabeled_manifest_uri)
    assert read_shard(sample.manifest, 0).images == read_shard(original, 0).images
    size = Path(original.shards[0].uri).stat().st_size
    assert sample.seen.bytes_an_image == pytest.approx(size / SHARD_ROWS, rel=0.05)
    assert sample.seen.images == 2 * SHARD_ROWS


def test_the_bytes_of_an_image_of_a_list_are_its_files_own(spec: MeasureSpec, tmp_path: Path) -> None:
    images = read_shard(load_manifest(spec.labeled_manifest_uri), 0).images
    entries = []
    for row, image in enumerate(images):
        (tmp_path / f"{row}.png").write_bytes(image)
        entries.append(ListEntry(f"{row}", str(tmp_path / f"{row}.png"), None))
    write_part(str(tmp_path / "part.parquet"), entries)
    manifest = DatasetManifest(
        dataset_id="listed",
        role="unlabeled",
        format="uri_list",
        classes=(),
        rows=len(images),
        shards=(Shard(uri=str(tmp_path / "part.parquet"), rows=len(images)),),
    )
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    sample = draw_sample(str(tmp_path / "manifest.json"), str(tmp_path / "sample"), most_images=5)
    assert sample.seen.bytes_an_image == pytest.approx(sum(map(len, images)) / len(images))


def test_a_sample_keeps_labels_and_keys(spec: MeasureSpec, tmp_path: Path) -> None:
    sample = draw_sample(spec.labeled_manifest_uri, str(tmp_path), most_images=7)
    kept, whole = read_shard(sample.manifest, 0), read_shard(load_manifest(spec.labeled_manifest_uri), 0)
    assert whole.labels is not None
    assert (kept.labels, kept.keys) == (whole.labels[:7], whole.keys[:7])


def test_a_sample_is_drawn_of_shards_that_have_rows(spec: MeasureSpec, tmp_path: Path) -> None:
    manifest = load_manifest(spec.labeled_manifest_uri)
    pq.write_table(pq.read_table(manifest.shards[0].uri).slice(0, 0), tmp_path / "empty.parquet")
    empty = Shard(uri=str(tmp_path / "empty.parquet"), rows=0)
    for shards, rows in (((empty, *manifest.shards, empty), manifest.rows), ((empty,), 0)):
        changed = manifest.model_copy(update={"shards": shards, "rows": rows})
        (tmp_path / f"{rows}.json").write_text(changed.model_dump_json())
    sample = draw_sample(str(tmp_path / f"{manifest.rows}.json"), str(tmp_path / "sample"), most_images=7)
    assert [shard.rows for shard in sample.manifest.shards] == [7]
    with pytest.raises(StageError, match="has no images") as raised:
        draw_sample(str(tmp_path / "0.json"), str(tmp_path / "sample"), most_images=7)
    assert raised.value.reason is FailureReason.BAD_DATA


def test_shards_that_cannot_be_read_are_bad_data(spec: MeasureSpec, tmp_path: Path) -> None:
    manifest = load_manifest(spec.labeled_manifest_uri)
    gone = manifest.model_copy(update={"shards": (Shard(uri=str(tmp_path / "gone.parquet"), rows=3),)})
    (tmp_path / "manifest.json").write_text(gone.model_dump_json())
    with pytest.raises(StageError, match=r"gone\.parquet") as raised:
        draw_sample(str(tmp_path / "manifest.json"), str(tmp_path / "sample"), most_images=5)
    assert raised.value.reason is FailureReason.BAD_DATA


@pytest.mark.parametrize(("count", "wanted", "found"), [(10, 3, [0, 3, 6]), (2, 5, [0, 1]), (4, 0, [0]), (1, 1, [0])])
def test_shards_are_taken_evenly(count: int, wanted: int, found: list[int]) -> None:
    assert spread(count, wanted) == found


def test_steady_work_leaves_the_first_time_out_and_finds_the_seconds_of_an_image() -> None:
    now = 0.0
    calls: list[int] = []

    def work(images: int) -> None:
        nonlocal now
        now += images * 0.01 + (100.0 if not calls else 0.0)
        calls.append(images)

    found = steady(work, most_images=50, seconds=103.0, first_images=10, clock=lambda: now)
    assert calls[:4] == [10, 20, 40, 50]
    assert found.seconds_an_image == pytest.approx(0.01)
    assert found.last_images == 50


def test_trainings_are_measured_in_all_their_phases(run: SampledRun) -> None:
    found = measure_trainings(run, LoneSession(gpus=0))
    assert found.workers == 1
    assert found.work_started_at < found.work_ended_at <= time.time()
    teacher, student = found.trainings
    assert [phase.images_a_step for phase in teacher.phases] == [4]
    assert [phase.images_a_step for phase in student.phases] == [12, 4]
    for training in found.trainings:
        assert training.model_bytes > 4 * training.parameters
        assert training.checkpoint_bytes > 3 * training.model_bytes
        for phase in training.phases:
            assert phase.step_seconds > 0
            assert phase.corrupted_validation_seconds_an_image is not None
            assert phase.corrupted_validation_seconds_an_image > 0
            assert phase.validation_seconds_an_image > 0


def test_one_model_is_measured_as_it_labels_and_is_evaluated(run: SampledRun) -> None:
    found = CleanMeasurement.model_validate_json(CleanProbe(run)(0))
    assert found.images >= 16
    assert found.label_bytes > 16  # the hash alone
    for seconds in (found.load_seconds, found.predict_seconds, found.corruption_seconds):
        assert seconds is not None
        assert seconds > 0
    assert found.stability_seconds is not None
    assert found.adversarial_seconds is not None


def test_labeling_is_measured_with_all_further_teachers_and_views_and_evaluation_without(
    run: SampledRun, tmp_path: Path
) -> None:
    teachers = tuple(LabelingModel(model_id=f"run-{n}-g0", uri=str(tmp_path / str(n))) for n in range(4))
    for teacher in teachers:
        write_fresh_model(run.train_spec(0, teacher.uri), teacher.uri)
    views = Views(flip=True)
    together = replace(run, spec=run.spec.model_copy(update={"further_teachers": teachers, "views": views}))
    found = CleanMeasurement.model_validate_json(CleanProbe(together)(0))
    assert found.together_seconds is not None
    assert found.together_seconds == found.label_seconds
    # Ten forward passes instead of one, beside the decoding of the same picture.
    assert found.together_seconds > 2 * found.predict_seconds
    assert found.together_load_seconds == found.label_load_seconds
    assert found.further_bytes == 4 * Path(teachers[0].uri, "model.safetensors").stat().st_size
    assert found.views_seconds is None
    twice = replace(run, spec=run.spec.model_copy(update={"views": views}))
    looked = CleanMeasurement.model_validate_json(CleanProbe(twice)(0))
    assert (looked.together_seconds, looked.together_load_seconds, looked.further_bytes) == (None, None, 0)
    assert looked.label_seconds == looked.views_seconds
    assert looked.label_load_seconds == looked.load_seconds


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "efficientnet_b0"])
def test_a_fresh_model_answers_with_probabilities(run: SampledRun, tmp_path: Path, name: str) -> None:
    spec = run.train_spec(0, str(tmp_path))
    spec = spec.model_copy(update={"model": name, "recipe": RECIPE.model_copy(update={"image_size": 32})})
    write_fresh_model(spec, str(tmp_path))
    shard = read_shard(load_manifest(run.test_uri), 0)
    found = Predictor(str(tmp_path), "cpu").predict(shard.images[:4]).probabilities
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-4)
    assert torch.isfinite(torch.from_numpy(found)).all()


def test_selection_is_measured_by_rows_and_by_shards(spec: MeasureSpec, tmp_path: Path) -> None:
    found = measure_select(spec, str(tmp_path))
    assert 0 < found.seconds_a_shard < found.seconds_a_million_rows < 30
    assert 0 < found.bytes_a_row < 10


def test_students_with_the_same_model_and_pictures_answer_alike(spec: MeasureSpec) -> None:
    teacher, student = spec.students
    plain = student.model_copy(update={"recipe": student.recipe.model_copy(update={"resolution_step": None})})
    assert _distinct_looks(spec) == [0, 1]
    assert _distinct_looks(spec.model_copy(update={"students": (teacher, plain)})) == [0, 0]


@pytest.mark.parametrize(
    "change",
    [{"interpolation": "bilinear"}, {"test_crop_fraction": 1.0}, {"mean": (0.5, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.5)}],
    ids=str,
)
def test_students_that_differ_in_how_they_see_a_picture_are_measured_each(
    spec: MeasureSpec, change: dict[str, object]
) -> None:
    teacher, _ = spec.students
    other = teacher.model_copy(update={"recipe": teacher.recipe.model_copy(update=change)})
    assert _distinct_looks(spec.model_copy(update={"students": (teacher, other)})) == [0, 1]


def test_as_many_processes_as_there_is_room_for_and_at_least_one() -> None:
    view = ClusterView((Node({"CPU": 10.0, "GPU": 2.0}),))
    for cpus, gpus, room in ((2.0, 0.0, 5), (2.0, 0.5, 4), (16.0, 0.0, 1)):
        assert room_for(ResourceDemand(1, cpus, gpus, "actor"), view) == room


def test_the_cluster_is_watched_once(spec: MeasureSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = spec.model_copy(update={"folder_uri": str(tmp_path)})
    watched: list[str] = []

    def no_further(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(stage, "join_cluster", lambda: None)
    monkeypatch.setattr(stage, "settled_on_cluster", lambda spec: spec)
    monkeypatch.setattr(stage, "watch_for_resources", lambda spec, _reporter: watched.append(spec.stage))
    monkeypatch.setattr(stage, "_draw_samples", no_further)
    with pytest.raises(InterruptedError):
        stage.run_measure(here, StageReporter(here, time.time()))

    assert watched == ["measure"]
