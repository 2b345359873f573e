"""Labels from several teachers, compared with means made by hand from what each of them says alone."""

import inspect
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.support.pool_in_process import PoolInProcess
from workers.data.images import clean
from workers.labeling import calibration, resumed_shards, stage
from workers.labeling.calibration import CALIBRATION_FILE, calibrate
from workers.labeling.logit_collector import LogitCollector
from workers.models import clean_batches, fast_jpeg
from workers.models.create import create_model
from workers.models.files import write_model
from workers.models.predictor import Predictor
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import LabeledBy, LabelingModel, Views
from workers.specs.model_card import ModelCard
from workers.specs.reports import FailureReason
from workers.specs.results import LabelResult
from workers.specs.stages import ActorPool, LabelSpec, part_name

CLASSES = ("a", "b", "c")
EVERY_VIEW = Views(flip=True, crops=5)


def picture(number: int, kind: str) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((220, 180), Image.Resampling.BICUBIC).save(stream, kind, quality=95)
    return stream.getvalue()


PICTURES = [picture(number, kind) for number in range(4) for kind in ("JPEG", "PNG")]


def teacher(folder: Path, seed: int, sharpness: float = 30, **card: Any) -> str:
    """Writes a teacher with opinions of its own, and returns its folder."""
    given = {"image_size": 28, "mean": (0.4,) * 3, "std": (0.2,) * 3, "crop": "center", "classes": CLASSES, **card}
    torch.manual_seed(seed)
    state = create_model("test_resnet", len(given["classes"]), 28, 0, 0).state_dict()
    state["fc.weight"] *= sharpness
    made = ModelCard(
        model="test_resnet", parameters=1, run_id=f"run-{seed}", generation=0, validation_top1=0.0, **given
    )  # fmt: skip
    write_model(str(folder), state, made)
    return str(folder)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The first two see a picture alike; the third sees more of it, larger, and in other colors."""
    root = tmp_path_factory.mktemp("teachers")
    larger: dict[str, Any] = {"image_size": 40, "mean": (0.5, 0.4, 0.3), "std": (0.3, 0.2, 0.25), "crop_fraction": 1.0}
    # The names run against the order, so that the order of folders is not that of the teachers.
    return [teacher(root / "z", 0), teacher(root / "y", 1), teacher(root / "x", 2, **larger)]


@cache
def alone(folder: str, views: Views = Views()) -> np.ndarray:
    return Predictor(folder, batch_size=3, views=views).predict(PICTURES).probabilities


@pytest.mark.parametrize("views", [Views(), EVERY_VIEW])
@pytest.mark.parametrize("count", [2, 3])
def test_a_label_is_the_mean_of_what_each_teacher_says_alone(teachers: list[str], count: int, views: Views) -> None:
    first, *further = teachers[:count]
    found = Predictor(first, batch_size=3, views=views, further=further).predict([*PICTURES[:5], b"?", *PICTURES[5:]])
    assert list(found.broken) == [5]
    expected = np.mean([alone(each, views).astype(np.float64) for each in teachers[:count]], axis=0)
    assert np.abs(np.delete(found.probabilities, 5, axis=0) - expected).max() < 1e-6
    assert found.probabilities.dtype == np.float32
    assert np.abs(expected - alone(first, views)).max() > 0.05, "the teachers agree, so that nothing was tested"


@pytest.mark.parametrize(
    "difference", [{"image_size": 36}, {"crop": "none"}, {"interpolation": "bilinear"}, {"crop_fraction": 1.0}], ids=str
)
def test_a_teacher_that_differs_in_one_thing_sees_pixels_of_its_own(
    teachers: list[str], tmp_path: Path, difference: dict[str, Any]
) -> None:
    other = teacher(tmp_path / "other", 0, **difference)
    assert np.abs(alone(other) - alone(teachers[0])).max() > 1e-3, "the same pictures"
    found = Predictor(teachers[0], further=[other]).predict(PICTURES).probabilities
    assert np.abs(found - (alone(teachers[0]) + alone(other)) / 2).max() < 1e-6


def test_nothing_else_of_a_card_makes_the_pixels() -> None:
    """A field of the card that these modules begin to use belongs into `ModelCard.preparation`."""
    used = {name for module in (clean, fast_jpeg) for name in re.findall(r"card\.(\w+)", inspect.getsource(module))}
    assert used == {"image_size", "crop", "interpolation", "crop_fraction"}


def test_the_order_of_the_teachers_changes_not_even_the_last_bit(teachers: list[str]) -> None:
    one, two, three = teachers
    orders = [(one, two, three), (three, one, two), (two, three, one), (one, three, two)]
    found = [Predictor(first, batch_size=3, further=rest).predict(PICTURES) for first, *rest in orders]
    assert all(np.array_equal(each.probabilities, found[0].probabilities) for each in found)


def test_teachers_that_disagree_are_less_confident_together_than_either(teachers: list[str]) -> None:
    one, other = alone(teachers[0]), alone(teachers[1])
    both = Predictor(teachers[0], further=[teachers[1]]).predict(PICTURES).probabilities
    differ = one.argmax(axis=1) != other.argmax(axis=1)
    assert differ.any()
    lower = np.minimum(one.max(axis=1), other.max(axis=1))[differ]
    assert np.all(both.max(axis=1)[differ] <= np.maximum(one.max(axis=1), other.max(axis=1))[differ])
    sure = lower > 0.9
    assert np.all(both.max(axis=1)[differ][sure] < lower[sure])


def test_two_teachers_that_are_sure_of_different_classes_leave_half_of_the_doubt(tmp_path: Path) -> None:
    folders = [teacher(tmp_path / name, seed=0) for name in "ab"]
    for place, folder in enumerate(folders):
        torch.manual_seed(0)
        state = create_model("test_resnet", len(CLASSES), 28, 0, 0).state_dict()
        state["fc.weight"] *= 0
        state["fc.bias"] = torch.tensor([5.0 if place == number else 0.0 for number in range(len(CLASSES))])
        write_model(folder, state, Predictor(folder).card)
    one, other = (alone(folder) for folder in folders)
    both = Predictor(folders[0], further=[folders[1]]).predict(PICTURES).probabilities
    assert one.max() == pytest.approx(other.max())
    assert one.max() > 0.98
    assert np.all(both.max(axis=1) < 0.51)


def test_teachers_that_see_a_picture_alike_share_its_pixels(
    teachers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resized: list[int] = []
    for name in ("resize_clean", "resize_fast"):
        real = getattr(clean_batches, name)
        monkeypatch.setattr(
            clean_batches,
            name,
            lambda image, card, real=real: (resized.append(card.image_size), real(image, card))[1],
        )
    Predictor(teachers[0], further=teachers[1:]).predict(PICTURES)
    assert sorted(resized) == [28] * len(PICTURES) + [40] * len(PICTURES)


@pytest.mark.parametrize("classes", [("a", "b", "d"), ("b", "a", "c"), ("a", "b")])
def test_a_teacher_of_other_classes_or_in_another_order_is_refused_by_its_folder(
    classes: tuple[str, ...], teachers: list[str], tmp_path: Path
) -> None:
    other = teacher(tmp_path / "other", 5, classes=classes)
    with pytest.raises(StageError, match=rf"the classes of {other} are not those of {teachers[0]}") as refused:
        Predictor(teachers[0], further=[teachers[1], other])
    assert refused.value.reason is FailureReason.USER_ERROR


def test_a_teacher_that_answers_with_nan_is_named(teachers: list[str], tmp_path: Path) -> None:
    diverged = teacher(tmp_path / "diverged", 3, sharpness=float("nan"))
    with pytest.raises(StageError, match=rf"the model at {diverged} answers with NaN"):
        Predictor(teachers[0], further=[teachers[1], diverged]).predict(PICTURES)


class Stage(PoolInProcess):
    """A label stage over two shards, whose pool is a loop in this process."""

    def __init__(self, root: Path, teachers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root, self.teachers = root, teachers
        for number in range(2):
            rows = PICTURES[number * 4 : number * 4 + 4]
            pq.write_table(pa.table({"image": rows, "label": ["a", "b", "c", "a"]}), root / f"s{number}.parquet")
        manifest = DatasetManifest(
            dataset_id="d", role="evaluation", format="parquet", classes=CLASSES, label_column="label", rows=8,
            shards=tuple(Shard(uri=str(root / f"s{number}.parquet"), rows=4) for number in range(2)),
        )  # fmt: skip
        (root / "manifest.json").write_text(manifest.model_dump_json())
        monkeypatch.setattr(resumed_shards, "map_shards", self.map_shards)
        monkeypatch.setattr(calibration, "map_shards", self.map_shards)

    def spec(self, *further: int, first: int = 0, calibrated: bool = False, **changes: Any) -> LabelSpec:
        """Labeling by the teacher `first` and further ones, by their numbers."""
        return LabelSpec(
            run_id="r", generation=1, attempt=1, folder_uri=str(self.root / "label"), seed=0, pool=ActorPool(),
            model_uri=self.teachers[first], manifest_uri=str(self.root / "manifest.json"),
            further_teachers=tuple(
                LabelingModel(model_id=f"run-{number}-g0", uri=self.teachers[number]) for number in further
            ),
            calibration_manifest_uri=str(self.root / "manifest.json") if calibrated else None, **changes,
        )  # fmt: skip

    def run(self, spec: LabelSpec) -> LabelResult:
        self.labeled = []
        return stage.run_label(spec, StageReporter(spec, entered_at=0.0))

    def confidences(self) -> list[float]:
        return [
            confidence
            for number in range(2)
            for confidence in pq.read_table(self.root / "label" / part_name(number))["confidence"].to_pylist()
        ]

    def origins(self) -> list[LabeledBy]:
        """What the footers of the label files say of their labels."""
        files = [self.root / "label" / part_name(number) for number in range(2)]
        footers = [pq.read_metadata(file).metadata for file in files]
        return [LabeledBy.model_validate_json(footer[b"noisy_student.labeled_by"]) for footer in footers]


def temperature_of(result: LabelResult) -> float:
    return 1.0 if result.calibration is None else result.calibration.temperature


@pytest.fixture
def label_stage(tmp_path: Path, teachers: list[str], monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, teachers, monkeypatch)


def test_the_stage_writes_the_mean_and_says_who_labeled_in_its_result_and_its_files(label_stage: Stage) -> None:
    result = label_stage.run(label_stage.spec(1, 2, views=Views(flip=True)))
    assert result.further_teachers == ("run-1-g0", "run-2-g0")
    expected = np.mean([alone(each, Views(flip=True)) for each in label_stage.teachers], axis=0).max(axis=1)
    assert np.abs(np.array(label_stage.confidences()) - expected).max() < 1e-6
    by = LabeledBy(model_uris=tuple(sorted(label_stage.teachers)), views=Views(flip=True), temperature=1.0)
    assert label_stage.origins() == [by, by]
    assert label_stage.run(label_stage.spec()).further_teachers == ()


@pytest.mark.parametrize(
    ("further", "changes"),
    [
        pytest.param((1,), {}, id="fewer teachers"),
        pytest.param((), {}, id="the teacher alone"),
        pytest.param((1, 2), {"views": Views(flip=True)}, id="other views"),
        pytest.param((1, 2), {"calibrated": True}, id="another temperature"),
        pytest.param((1,), {"first": 2}, id="another teacher"),
    ],
)
def test_a_rerun_never_mixes_labels_that_were_made_in_different_ways(
    label_stage: Stage, further: tuple[int, ...], changes: dict[str, Any]
) -> None:
    label_stage.run(label_stage.spec(1, 2))
    assert label_stage.run(label_stage.spec(2, 1)).shards_resumed == 2, "in whatever order they are named"
    assert label_stage.labeled == []
    (label_stage.root / "label" / part_name(1)).unlink()
    changed = label_stage.spec(*further, **changes)

    resumed = label_stage.run(changed)

    assert resumed.shards_resumed == 0
    assert sorted(label_stage.labeled[-2:]) == [0, 1]
    assert label_stage.origins() == [changed.labeled_by(temperature_of(resumed))] * 2


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_further_teacher_whose_files_are_gone_is_named_before_any_actor_starts(
    label_stage: Stage, tmp_path: Path, name: str
) -> None:
    gone = LabelingModel(model_id="run-7-g2", uri=teacher(tmp_path / "gone", 7))
    (tmp_path / "gone" / name).unlink()
    spec = label_stage.spec(1)
    with pytest.raises(StageError, match=rf"further_teachers\.1: run-7-g2 has lost its {name}") as refused:
        label_stage.run(spec.model_copy(update={"further_teachers": (*spec.further_teachers, gone)}))
    assert refused.value.reason is FailureReason.USER_ERROR
    assert label_stage.labeled == []


def test_the_temperature_is_fitted_on_the_mean_and_again_for_other_teachers(label_stage: Stage) -> None:
    spec = label_stage.spec(1, 2, calibrated=True)
    logits = np.frombuffer(LogitCollector(spec)(0), np.float32).reshape(4, -1)[:, :-1]
    expected = np.mean([alone(each)[:4] for each in label_stage.teachers], axis=0)
    assert np.abs(np.exp(logits) - expected).max() < 1e-6
    fitted = calibrate(spec)
    assert fitted is not None
    label_stage.labeled = []
    assert calibrate(spec) == fitted
    assert label_stage.labeled == [], "fitted again"
    assert calibrate(label_stage.spec(calibrated=True)) != fitted
    assert label_stage.labeled == [0, 1]
    (label_stage.root / "label" / CALIBRATION_FILE).write_text(fitted.model_dump_json())
    assert calibrate(spec) == fitted, "a file of a version that did not say whose fit it is"
