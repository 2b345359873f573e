"""The evaluation on real files, without Ray."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from workers.data.errors import BrokenImage
from workers.data.images.decode import content_hash
from workers.data.shards import shard_readers
from workers.data.shards.shard_readers import ShardImages
from workers.evaluation import evaluator, pseudo_label_truth, stage
from workers.evaluation.evaluator import Evaluator
from workers.evaluation.metrics import Judged, judge
from workers.evaluation.pseudo_label_truth import judge_pseudo_labels
from workers.evaluation.robustness_probe import RobustnessProbe
from workers.evaluation.work_items import WorkItem
from workers.labeling.label_files import Hygiene, label_table, write_label_file
from workers.models.create import create_model
from workers.models.files import write_model
from workers.models.predictor import Predictor
from workers.runtime.shard_pool import ShardDone, ShardFunction
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.evaluation import ExternalSet, PseudoLabelTruth
from workers.specs.hygiene import BrokenKind
from workers.specs.model_card import ModelCard
from workers.specs.reports import FailureReason
from workers.specs.results import EvaluateResult, Metrics
from workers.specs.robustness import (
    AdversarialSettings,
    CorruptionSettings,
    RobustnessSettings,
    StabilitySettings,
)
from workers.specs.stages import ActorPool, EvaluateSpec

CLASSES = ("a", "b", "c")


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class World:
    """An evaluation set with one broken image of twelve, and a model."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = [[png(shard * 6 + row) for row in range(6)] for shard in range(2)]
        self.images[1][0] = b""
        self.labels = [[0, 1, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2]]
        self.manifest_uri = self.write_dataset("test", self.images, self.labels)
        torch.manual_seed(3)
        card = ModelCard(
            model="test_resnet", classes=CLASSES, image_size=28, mean=(0.5,) * 3, std=(0.5,) * 3, crop="none",
            parameters=1, run_id="r", generation=0, validation_top1=0.0,
        )  # fmt: skip
        write_model(str(root / "model"), create_model("test_resnet", 3, 28, 0.3, 0.1).state_dict(), card)

    def write_dataset(
        self, name: str, images: list[list[bytes]], labels: list[list[int]], classes: tuple[str, ...] = CLASSES
    ) -> str:
        shards = []
        for index, (shard_images, shard_labels) in enumerate(zip(images, labels, strict=True)):
            path = self.root / f"{name}-{index}.parquet"
            pq.write_table(pa.table({"image": shard_images, "label": [CLASSES[label] for label in shard_labels]}), path)
            shards.append(Shard(uri=str(path), rows=len(shard_images)))
        manifest = DatasetManifest(
            dataset_id=name, role="evaluation", format="parquet", classes=classes, label_column="label",
            rows=sum(map(len, images)), shards=tuple(shards),
        )  # fmt: skip
        (self.root / f"{name}.json").write_text(manifest.model_dump_json())
        return str(self.root / f"{name}.json")

    def spec(self, **changes: object) -> EvaluateSpec:
        spec = EvaluateSpec.model_validate(
            {
                "run_id": "r", "generation": 1, "attempt": 1, "folder_uri": str(self.root / "out"), "seed": 0,
                "max_bad_fraction": 0.1, "model_uri": str(self.root / "model"), "manifest_uri": self.manifest_uri,
                "batch_size": 4, "pool": ActorPool(), **changes,
            }
        )  # fmt: skip
        (self.root / "out").mkdir(exist_ok=True)
        return spec


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    def map_shards(
        make_function: Callable[[], ShardFunction], shard_indices: Sequence[int], pool: ActorPool
    ) -> list[ShardDone]:
        function = make_function()
        return [ShardDone(shard, 5.0, 6.0 + shard, function(shard)) for shard in shard_indices]

    monkeypatch.setattr(stage, "map_shards", map_shards)
    return World(tmp_path)


def run(spec: EvaluateSpec) -> EvaluateResult:
    return stage.run_evaluate(spec, StageReporter(spec, entered_at=0.0))


def test_the_stage_judges_every_readable_image_and_counts_the_broken_one(world: World) -> None:
    result = run(world.spec())
    predictor = Predictor(str(world.root / "model"), "cpu")
    right = images = 0
    for shard_images, shard_labels in zip(world.images, world.labels, strict=True):
        for row, probabilities in enumerate(predictor.predict(shard_images).probabilities):
            if not np.isnan(probabilities).any():
                images += 1
                right += int(probabilities.argmax()) == shard_labels[row]
    assert result.metrics.images == images == 11
    assert result.metrics.top1 == pytest.approx(right / 11)
    assert result.metrics.top5 == 1.0
    assert result.bad_images == 1
    assert result.pseudo_labels is None
    assert result.timing.work_started_at == 5.0


def test_broken_images_of_the_test_set_are_named_in_its_quarantine(world: World) -> None:
    run(world.spec())
    (file,) = (world.root / "out" / "quarantine").rglob("*.parquet")
    assert file.parent.name == DatasetManifest.model_validate_json(Path(world.manifest_uri).read_bytes()).dataset_id
    (row,) = pq.read_table(file).to_pylist()
    assert row["key"].endswith(f":{row['row']}")
    assert (row["kind"], bool(row["reason"])) == ("empty", True)


def test_too_many_broken_images_of_an_external_set_are_said_of_that_set_and_mended_ones_are_forgotten(
    world: World,
) -> None:
    good = world.images[0][:3]
    broken = world.write_dataset("elsewhere", [[*good, b"", b"junk"]], [[0, 1, 2, 0, 1]])
    message = r"2 of 5 images of dataset elsewhere cannot be read \(1 empty, 1 unknown_format\).*quarantine/elsewhere"
    with pytest.raises(StageError, match=message) as caught:
        run(world.spec(external=(ExternalSet(name="e", manifest_uri=broken),)))
    assert caught.value.reason is FailureReason.BAD_DATA
    mended = world.write_dataset("elsewhere", [[*good, *good[:2]]], [[0, 1, 2, 0, 1]])
    assert run(world.spec(external=(ExternalSet(name="e", manifest_uri=mended),))).external["e"].images == 5
    assert not (world.root / "out" / "quarantine" / "elsewhere").exists()


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records how many rows each piece had. Shards are read one row at a time."""
    reader, read = shard_readers._READERS["parquet"], list[int]()

    def counting(manifest: DatasetManifest, shard: Shard) -> Iterator[shard_readers._Rows]:
        for rows in reader(manifest, shard):
            read.append(len(rows.images))
            yield rows

    monkeypatch.setattr(shard_readers, "_PIECE_ROWS", 1)
    monkeypatch.setitem(shard_readers._READERS, "parquet", counting)
    return read


def test_a_shard_is_judged_while_it_is_read(
    world: World, rows_read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_when_judged = []

    def judging(probabilities: npt.NDArray[np.float32], truth: npt.NDArray[np.int32]) -> Judged:
        read_when_judged.append(sum(rows_read))
        return judge(probabilities, truth)

    monkeypatch.setattr(evaluator, "judge", judging)
    evaluate = Evaluator(world.spec(batch_size=2))
    assert len(Judged.from_bytes(evaluate(0)).truth) == 6
    assert read_when_judged == [2, 4, 6]
    assert Judged.from_bytes(evaluate(1)).truth.tolist() == [0, 1, 1, 2, 2]  # the broken picture leaves no label


def test_only_the_pictures_of_a_piece_are_kept_to_be_corrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, probe = [], RobustnessProbe.probe

    def probing(self: RobustnessProbe, item: WorkItem, sample: ShardImages) -> Counter[str]:
        kept.append((item.rows, sample.images))
        return probe(self, item, sample)

    monkeypatch.setattr(RobustnessProbe, "probe", probing)
    corruptions = CorruptionSettings(kinds=("fog",), severities=(1,), sample=5)
    run(world.spec(robustness=RobustnessSettings(corruptions=corruptions, stability=None, adversarial=None)))
    assert [images for _, images in kept] == [
        [world.images[shard][row] for row in rows] for shard, (rows, _) in enumerate(kept)
    ]
    assert sum(len(images) for _, images in kept) == 5


def test_too_many_broken_images_fail_the_stage(world: World) -> None:
    with pytest.raises(StageError, match="1 of 12 images") as caught:
        run(world.spec(max_bad_fraction=0.05))
    assert caught.value.reason is FailureReason.BAD_DATA


def test_an_evaluation_set_with_other_classes_is_the_users_error(world: World) -> None:
    other = world.write_dataset("other", world.images, world.labels, classes=("c", "b", "a"))
    with pytest.raises(StageError, match="classes") as caught:
        Evaluator(world.spec(manifest_uri=other))
    assert caught.value.reason is FailureReason.USER_ERROR


def test_the_evaluator_leaves_a_gpu_alone_that_its_pool_did_not_ask_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Evaluator(world.spec())(0)


SMALL = RobustnessSettings(
    corruptions=CorruptionSettings(kinds=("fog", "contrast"), severities=(1, 5), sample=12),
    stability=StabilitySettings(kinds=("rotate", "gaussian_noise"), frames=3, sample=4),
    adversarial=AdversarialSettings(epsilons=(2.0,), pgd_steps=2, sample=6),
)


def test_robustness_is_measured_on_the_readable_images_and_is_the_same_each_time(world: World) -> None:
    first, again = (run(world.spec(robustness=SMALL, seed=seed)).robustness for seed in (1, 2))
    assert first == again
    assert first.corruptions.images == 11
    assert set(first.corruptions.errors) == {"fog", "contrast"}
    assert first.corruptions.mean_corruption_error == first.stability.mean_flip_rate == 100
    assert first.reference == "r-g1"
    assert [attack.attack for attack in first.adversarial.attacks] == ["fgsm", "pgd"]


def test_a_model_measured_against_itself_has_an_mce_of_100(world: World) -> None:
    result = run(world.spec(robustness=SMALL))
    (world.root / "reference.json").write_text(result.model_dump_json())
    reference = {"model_id": "r-g0", "result_uri": str(world.root / "reference.json")}
    again = run(world.spec(robustness=SMALL, reference=reference)).robustness
    assert again.reference == "r-g0"
    assert again.corruptions.mean_corruption_error == pytest.approx(100)


def test_a_reference_that_is_not_there_is_named_before_any_work(world: World) -> None:
    reference = {"model_id": "r-g0", "result_uri": str(world.root / "nothing.json")}
    with pytest.raises(StageError, match="reference r-g0 cannot be read") as caught:
        run(world.spec(robustness=SMALL, reference=reference))
    assert caught.value.reason is FailureReason.USER_ERROR


def test_an_external_set_is_judged_among_its_own_classes(world: World) -> None:
    manifest = world.write_dataset("wild", [world.images[0][:2]], [[1, 1]], classes=("b", "a"))
    external = ({"name": "wild", "manifest_uri": manifest, "class_map": None},)
    found = run(world.spec(external=external)).external["wild"]
    predictor = Predictor(str(world.root / "model"), "cpu")
    among = predictor.predict(world.images[0][:2]).probabilities[:, [1, 0]]
    assert found.images == 2
    assert found.top1 == pytest.approx(float((among.argmax(axis=1) == 0).mean()))
    assert set(found.per_class) == {"a", "b"}


@pytest.fixture
def pseudo(world: World) -> PseudoLabelTruth:
    """Six images with pseudo labels, one broken and one without a known truth. The truth has another order."""
    pool = [png(100 + index) for index in range(5)] + [b"broken"]
    certain = np.array(
        [[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0.4, 0.6], [0.7, 0, 0.3], [0, 1, 0], [np.nan] * 3], np.float32
    )
    for shard, rows in enumerate((slice(0, 2), slice(2, 6))):
        broken = {3: BrokenImage(BrokenKind.TRUNCATED, "it breaks off")} if shard else {}
        hashes = [content_hash(image) for image in pool[rows]]
        table, _ = label_table(
            [""] * len(hashes), Hygiene(hashes, [None] * len(hashes), broken, {}), certain[rows], top_k=3
        )
        write_label_file(str(world.root / "labels"), shard, table, broken)
    truth = world.write_dataset("truth", [[pool[3], pool[5], pool[0]], [pool[2], pool[1]]], [[1, 0, 0], [2, 0]])
    unlabeled = world.write_dataset("unlabeled", [pool[:2], pool[2:]], [[0] * 2, [0] * 4])
    return PseudoLabelTruth(
        labels_uri=str(world.root / "labels"), labels_manifest_uri=unlabeled, truth_manifest_uri=truth
    )


def test_pseudo_labels_are_joined_with_their_truth_by_content(pseudo: PseudoLabelTruth) -> None:
    metrics = judge_pseudo_labels(pseudo, CLASSES)
    # truth 0, 0, 2, 1 of the first four images; predicted 0, 1, 2, 0
    assert metrics.images == 4
    assert metrics.confusion.matrix() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert (metrics.top1, metrics.top5) == (0.5, 1.0)
    assert metrics.per_class == {"a": 0.5, "b": 0.0, "c": 1.0}


def test_the_truth_is_hashed_while_it_is_read(
    world: World, pseudo: PseudoLabelTruth, rows_read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_when_hashed = []

    def hashing(image: bytes) -> bytes:
        read_when_hashed.append(sum(rows_read))
        return content_hash(image)

    monkeypatch.setattr(pseudo_label_truth, "content_hash", hashing)
    monkeypatch.setattr(pseudo_label_truth, "_READERS", 1)
    assert judge_pseudo_labels(pseudo, CLASSES).images == 4
    assert read_when_hashed == [1, 2, 3, 4, 5]


def test_the_stage_reports_the_pseudo_labels_too(world: World, pseudo: PseudoLabelTruth) -> None:
    result = run(world.spec(pseudo_label_truth=pseudo))
    assert isinstance(result.pseudo_labels, Metrics)
    assert result.pseudo_labels.images == 4


def test_a_truth_without_any_of_the_images_is_bad_data(world: World, pseudo: PseudoLabelTruth) -> None:
    elsewhere = world.write_dataset("elsewhere", [[png(900)]], [[0]])
    with pytest.raises(StageError, match="no image of") as caught:
        judge_pseudo_labels(pseudo.model_copy(update={"truth_manifest_uri": elsewhere}), CLASSES)
    assert caught.value.reason is FailureReason.BAD_DATA


def test_a_missing_label_file_is_named(world: World, pseudo: PseudoLabelTruth) -> None:
    (world.root / "labels" / "part-00001.parquet").unlink()
    with pytest.raises(StageError, match=r"part-00001\.parquet"):
        judge_pseudo_labels(pseudo, CLASSES)
