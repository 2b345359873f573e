"""Labels from several views of an image, compared with means made by hand: plain timm, Pillow and torch."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image, ImageOps

from workers.artifact_io import join_uri
from workers.labeling.logit_collector import LogitCollector
from workers.labeling.shard_labeler import ShardLabeler
from workers.models.create import create_model
from workers.models.files import write_model
from workers.models.predictor import Predictor
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.labeling import Views
from workers.specs.model_card import ModelCard
from workers.specs.stages import ActorPool, LabelSpec, part_name

CLASSES = ("a", "b", "c")
SIZES = [(40, 40), (64, 48), (45, 90), (32, 400)]
"""The last one is too long to be resized as a whole."""
ALL_VIEWS = [Views(), Views(flip=True), Views(crops=5), Views(flip=True, crops=5)]


def picture(number: int) -> Image.Image:
    width, height = SIZES[number]
    noise = np.random.default_rng(number).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


PICTURES = [encoded(picture(number)) for number in range(len(SIZES))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a teacher with decided opinions, which sees 28 of 32 pixels."""
    root = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(0)
    state = create_model("test_resnet", len(CLASSES), 28, 0, 0).state_dict()
    state["fc.weight"] *= 30
    card = ModelCard(
        model="test_resnet", classes=CLASSES, image_size=28, mean=(0.4,) * 3, std=(0.2,) * 3, crop="center",
        parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(root), state, card)
    return str(root)


def by_hand(folder: str, data: bytes, views: Views) -> np.ndarray:
    """The mean of softmax over the views of one picture, each cut with Pillow."""
    model = timm.create_model("test_resnet", num_classes=len(CLASSES)).eval()
    model.load_state_dict(safetensors.torch.load_file(join_uri(folder, "model.safetensors")))
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    if height > 8 * width:
        cut = (height - 8 * width) // 2
        image = image.crop((0, cut, width, height - cut))
    short = min(image.size)
    scaled = int(32 * image.width / short), int(32 * image.height / short)
    image = image.resize(scaled, Image.Resampling.BICUBIC)
    right, bottom = image.width - 28, image.height - 28
    corners = [(round(right / 2), round(bottom / 2)), (0, 0), (right, 0), (0, bottom), (right, bottom)]
    cuts = [image.crop((x, y, x + 28, y + 28)) for x, y in corners[: views.crops]]
    if views.flip:
        cuts += [ImageOps.mirror(cut) for cut in cuts]
    batch = torch.stack([torch.from_numpy(np.array(cut)).permute(2, 0, 1).float() / 255 for cut in cuts])
    with torch.no_grad():
        mean: np.ndarray = model((batch - 0.4) / 0.2).softmax(dim=1).mean(dim=0).numpy()
    return mean


@pytest.mark.parametrize("views", ALL_VIEWS)
def test_a_label_is_the_mean_of_the_probabilities_of_the_views(views: Views, folder: str) -> None:
    found = Predictor(folder, batch_size=3, views=views).predict([PICTURES[0], b"broken", *PICTURES[1:]])
    assert list(found.broken) == [1]
    expected = np.stack([by_hand(folder, data, views) for data in PICTURES])
    assert np.abs(np.delete(found.probabilities, 1, axis=0) - expected).max() < 1e-3
    assert views.count == views.crops * (2 if views.flip else 1)


def test_more_views_answer_otherwise_than_one(folder: str) -> None:
    one, *others = [Predictor(folder, views=views).predict(PICTURES).probabilities for views in ALL_VIEWS]
    assert all(np.abs(one - other).max() > 0.01 for other in others)


@pytest.mark.parametrize("views", [Views(flip=True), Views(flip=True, crops=5)])
def test_an_image_and_its_mirror_image_have_the_same_label(views: Views, folder: str, tmp_path: Path) -> None:
    images = [picture(number).resize((32, 32)) for number in range(2)]
    rows = [encoded(each) for image in images for each in (image, ImageOps.mirror(image))]
    single, several = (labels(tmp_path / name, folder, rows, given) for name, given in (("1", Views()), ("2", views)))
    assert np.abs(single[0::2] - single[1::2]).max() > 0.01
    assert np.abs(several[0::2] - several[1::2]).max() < 1e-3


def labels(root: Path, folder: str, images: list[bytes], views: Views) -> np.ndarray:
    """The confidences that the labeler writes for a shard of these images."""
    spec = spec_of(root, folder, images, views=views)
    ShardLabeler(spec)(0)
    return np.array(pq.read_table(Path(spec.folder_uri) / part_name(0))["confidence"].to_pylist())


def test_the_temperature_is_fitted_on_the_views_that_are_labeled_and_acts_on_their_mean(
    folder: str, tmp_path: Path
) -> None:
    views = Views(flip=True, crops=5)
    spec = spec_of(tmp_path, folder, PICTURES, views=views)
    table = np.frombuffer(LogitCollector(spec)(0), np.float32).reshape(len(PICTURES), -1)
    expected = np.stack([by_hand(folder, data, views) for data in PICTURES])
    assert np.abs(np.exp(table[:, :-1]) - expected).max() < 1e-3
    softened = np.sqrt(expected) / np.sqrt(expected).sum(axis=1, keepdims=True)
    found = Predictor(folder, views=views, temperature=2.0).predict(PICTURES).probabilities
    assert np.abs(found - softened).max() < 1e-2


def spec_of(root: Path, folder: str, images: list[bytes], views: Views) -> LabelSpec:
    (root / "label").mkdir(parents=True)
    pq.write_table(pa.table({"image": images, "label": ["a"] * len(images)}), root / "s.parquet")
    manifest = DatasetManifest(
        dataset_id="d", role="evaluation", format="parquet", classes=CLASSES, label_column="label", rows=len(images),
        shards=(Shard(uri=str(root / "s.parquet"), rows=len(images)),),
    )  # fmt: skip
    (root / "manifest.json").write_text(manifest.model_dump_json())
    return LabelSpec(
        run_id="r", generation=1, attempt=1, folder_uri=str(root / "label"), seed=0, model_uri=folder, views=views,
        manifest_uri=str(root / "manifest.json"), calibration_manifest_uri=str(root / "manifest.json"),
        pool=ActorPool(),
    )  # fmt: skip
