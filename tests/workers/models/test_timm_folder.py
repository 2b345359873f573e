"""A stored model loads with `timm.create_model("local-dir:...")` in a process that cannot import this project."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from workers.models.create import create_model, model_options
from workers.models.files import write_model
from workers.models.predictor import Predictor
from workers.specs.model_card import ModelCard
from workers.specs.timm_config import TIMM_CONFIG_FILE, timm_config

LABELS = ("0", "été", "a dog, or a cat")
SIZES = [(640, 427), (213, 320), (96, 96), (60, 41), (800, 50)]
"""Of photographs, width and height: a landscape, a portrait, a square, one smaller than the input, a banner."""
STRANGER = """
import importlib.util, json, sys
assert importlib.util.find_spec("workers") is None, "this project is on the path"
import timm, torch
from pathlib import Path
from PIL import Image
said = {}
for folder in sys.argv[2:]:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    data = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**data, is_training=False)
    pictures = [transform(Image.open(file).convert("RGB")) for file in sorted(Path(sys.argv[1]).glob("*.png"))]
    adapted = {}
    if model.pretrained_cfg.get("classifier"):
        kept = model.state_dict()
        other = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=5, in_chans=1).state_dict()
        adapted = {name: list(weight.shape) for name, weight in other.items() if not torch.equal(weight, kept[name])}
    with torch.no_grad():
        said[folder] = {
            "logits": model(torch.stack(pictures)).tolist(),
            "labels": model.pretrained_cfg["label_names"],
            "classes": model.num_classes,
            "data": data,
            "adapted": adapted,
        }
print(json.dumps(said))
"""


class Said(TypedDict):
    """What the other process says of a folder."""

    logits: list[list[float]]
    labels: list[str]
    classes: int
    data: dict[str, Any]
    adapted: dict[str, list[int]]
    """The shapes of the tensors that differ in a model of five classes and one channel."""


def card_of(model: str, image_size: int, **changes: object) -> ModelCard:
    fields: dict[str, object] = {
        "model": model,
        "classes": LABELS,
        "image_size": image_size,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.4),
        "crop": "center",
        "model_options": model_options(model, image_size),
        "parameters": 1,
        "run_id": "r",
        "generation": 0,
        "validation_top1": 0.5,
    }
    return ModelCard.model_validate(fields | changes)


CARDS = {
    "cropped": card_of("test_resnet", 64),
    "cropped_as_the_authors_do": card_of("test_efficientnet", 75, crop_fraction=75 / 107),
    "cropped_where_timm_rounds_otherwise": card_of("test_resnet", 46),
    "whole": card_of("test_convnext", 64, crop="none", interpolation="bilinear"),
    "built_for_a_size": card_of("test_vit.r160_in1k", 96),
    "without_its_configuration": card_of("test_vit", 64, crop="none"),
}


@lru_cache(maxsize=1)
def photographs() -> tuple[Image.Image, ...]:
    pictures = [Image.fromarray(each) for each in load_sample_images().images]
    return tuple(pictures[number % 2].resize(size, Image.Resampling.BICUBIC) for number, size in enumerate(SIZES))


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each card, as training writes it; one of an earlier release, whose configuration is made later."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for name, card in CARDS.items():
        model = create_model(card.model, len(LABELS), card.image_size, dropout=0.5, drop_path=0.1)
        model(torch.randn(8, 3, card.image_size, card.image_size))  # moves the running statistics
        write_model(str(root / name), model.state_dict(), card)
    of_an_earlier_release = root / "without_its_configuration" / TIMM_CONFIG_FILE
    of_an_earlier_release.write_text(timm_config(CARDS["without_its_configuration"]), encoding="utf-8")
    return {name: root / name for name in CARDS}


@pytest.fixture(scope="module")
def said(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Said]:
    """What a process with timm, and without this project, says of a folder."""
    pictures = tmp_path_factory.mktemp("pictures")
    for number, picture in enumerate(photographs()):
        (pictures / f"{number}.png").write_bytes(encoded(picture))
    packages = Path(str(distribution("timm").locate_file("")))
    # -S leaves out the .pth files by which an editable install is found.
    done = subprocess.run(
        [sys.executable, "-S", "-c", STRANGER, str(pictures), *map(str, folders.values())],
        cwd=pictures,
        env={"PYTHONPATH": str(packages), "HOME": str(pictures), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Said] = json.loads(done.stdout)
    return lambda name: answers[str(folders[name])]


@pytest.mark.parametrize("name", CARDS)
def test_plain_timm_gives_the_same_logits_on_photographs(
    folders: dict[str, Path], said: Callable[[str], Said], name: str
) -> None:
    ours, rows = Predictor(str(folders[name])).logits([encoded(picture) for picture in photographs()])
    assert rows == list(range(len(SIZES)))
    assert float(np.ptp(ours, axis=0).min()) > 1e-3, "the pictures are not told apart"
    np.testing.assert_allclose(np.array(said(name)["logits"]), ours, atol=1e-4)


@pytest.mark.parametrize("name", CARDS)
def test_plain_timm_knows_the_classes_and_how_to_prepare_a_picture(said: Callable[[str], Said], name: str) -> None:
    card, answer = CARDS[name], said(name)
    assert (answer["labels"], answer["classes"]) == (list(LABELS), len(LABELS))
    data = answer["data"]
    assert data["input_size"] == [3, card.image_size, card.image_size]
    assert (data["mean"], data["std"]) == (list(card.mean), list(card.std))
    assert data["interpolation"] == card.interpolation
    assert data["crop_mode"] == ("squash" if card.crop == "none" else "center")


@pytest.mark.parametrize("name", [name for name in CARDS if name != "without_its_configuration"])
def test_plain_timm_gives_the_weights_another_head_and_other_channels(said: Callable[[str], Said], name: str) -> None:
    shapes = said(name)["adapted"].values()
    assert sorted(shape[0] for shape in shapes if len(shape) <= 2) == [5, 5], "the head's weight and bias are new"
    assert [shape[1] for shape in shapes if len(shape) == 4] == [1], "the first convolution takes one channel"
