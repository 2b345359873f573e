"""Model files, architectures and clean inference, on real pictures and real timm models."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from workers.data.images.clean import prepare_clean
from workers.models.create import create_model
from workers.models.files import load_model, write_model
from workers.models.normalize import normalized
from workers.models.predictor import Predictor
from workers.models.torchscript import frozen
from workers.runtime.stage_reporter import StageError
from workers.specs.model_card import ModelCard
from workers.specs.reports import FailureReason

CLASSES = ("cat", "dog", "fox")


def card_of(model: str = "test_resnet", image_size: int = 32, **changes: object) -> ModelCard:
    fields: dict[str, object] = {
        "model": model,
        "classes": CLASSES,
        "image_size": image_size,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.4),
        "crop": "none",
        "parameters": 1,
        "run_id": "r",
        "generation": 0,
        "validation_top1": 0.5,
    }
    return ModelCard.model_validate(fields | changes)


def encoded(seed: int, size: tuple[int, int] = (32, 32), kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def model_folder(tmp_path: Path) -> str:
    torch.manual_seed(1)
    model = create_model("test_resnet", len(CLASSES), 32, dropout=0.9, drop_path=0.5)
    write_model(str(tmp_path / "model"), model.state_dict(), card_of())
    return str(tmp_path / "model")


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_inference_imports_one_architecture_alone_and_leaves_the_real_packages_importable() -> None:
    out = in_a_new_process(
        "import sys\n"
        "import workers.models.predictor\n"
        "from workers.models.create import create_model\n"
        "model = create_model('test_efficientnet', 10, 28, 0.3, 0.1)\n"
        "heavy = ('torchvision', 'timm', 'torch._dynamo', 'sympy', 'pandas', 'ray', 'huggingface_hub')\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "import timm, torchvision.transforms, torchvision.models.feature_extraction\n"
        "assert timm.layers._fx.has_fx_feature_extraction\n"
        "whole = timm.create_model('test_efficientnet', num_classes=10, drop_rate=0.3, drop_path_rate=0.1)\n"
        "assert len(timm.list_models()) > 500\n"
        "assert str(whole) == str(model)\n"
        "whole.load_state_dict(model.state_dict())\n"
    )
    assert out == "[]"


def test_model_that_no_file_defines_by_name_falls_back_to_the_whole_of_timm() -> None:
    out = in_a_new_process(
        "import sys, warnings\nwarnings.simplefilter('ignore')\n"
        "from workers.models.lean_timm import load_zoo\n"
        "zoo = load_zoo('vit_tiny_patch16_224_in21k')\n"  # a deprecated alias, registered in a loop
        "import timm\n"
        "print(zoo.create_model is timm.create_model)"
    )
    assert out == "True"


@pytest.mark.parametrize(("name", "image_size"), [("test_resnet", 28), ("test_vit", 32), ("test_convnext", 32)])
def test_model_files_load_with_plain_timm_and_give_the_same_answers(tmp_path: Path, name: str, image_size: int) -> None:
    torch.manual_seed(0)
    model = create_model(name, 3, image_size, dropout=0.5, drop_path=0.2)
    model(torch.randn(8, 3, image_size, image_size))  # moves the running statistics away from their initial values
    options = {"img_size": image_size} if "vit" in name else {}
    write_model(str(tmp_path), model.state_dict(), card_of(name, image_size, model_options=options))

    loaded, card = load_model(tmp_path.as_uri())
    built_with: dict[str, Any] = {**card.model_options}
    plain = timm.create_model(card.model, num_classes=len(card.classes), **built_with)
    plain.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))

    pictures = torch.randn(4, 3, image_size, image_size)
    torch.testing.assert_close(loaded(pictures), plain.eval()(pictures))
    torch.testing.assert_close(loaded(pictures), model.eval()(pictures))


def test_an_unknown_model_is_the_users_error() -> None:
    with pytest.raises(StageError, match="no_such_net") as caught:
        create_model("no_such_net", 3, 32, 0, 0)
    assert caught.value.reason is FailureReason.USER_ERROR


def test_drop_path_on_a_model_that_has_none_is_the_users_error() -> None:
    with pytest.raises(StageError, match=r"drop_path_rate=0\.2"):
        create_model("vgg11", 3, 32, 0, 0.2)


def test_no_dropout_means_none_even_where_the_architecture_has_some_by_default() -> None:
    assert create_model("ghostnet_050", 3, 32, 0, 0).drop_rate == 0
    assert create_model("vgg11", 3, 32, 0.25, 0).head.drop.p == 0.25


def test_predictions_are_the_models_softmax_of_the_clean_pictures(model_folder: str) -> None:
    images = [encoded(seed, (40 + seed, 30)) for seed in range(7)]
    predicted = Predictor(model_folder, "cpu", batch_size=3).predict(images)

    model, card = load_model(model_folder)
    pixels = [prepare_clean(Image.open(io.BytesIO(image)).convert("RGB"), card) for image in images]
    inputs = (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255 - torch.tensor(card.mean)[:, None, None]) / (
        torch.tensor(card.std)[:, None, None]
    )
    np.testing.assert_allclose(predicted.probabilities, model(inputs).softmax(1).detach().numpy(), atol=1e-5)
    assert predicted.broken == {}


@pytest.mark.parametrize("cpus", [1, 3])
def test_broken_pictures_get_a_row_of_nan_and_a_reason(model_folder: str, cpus: int) -> None:
    whole = encoded(1)
    images = [whole, b"", encoded(2), whole[: len(whole) // 2], b"no picture"] + [encoded(s) for s in range(3, 20)]
    predicted = Predictor(model_folder, "cpu", cpus=cpus, batch_size=2).predict(images)
    torch.set_num_threads(1)

    assert sorted(predicted.broken) == [1, 3, 4]
    assert all(predicted.broken.values())
    broken_rows = np.isnan(predicted.probabilities).all(axis=1)
    assert np.flatnonzero(broken_rows).tolist() == [1, 3, 4]
    np.testing.assert_allclose(predicted.probabilities[~broken_rows].sum(axis=1), 1, atol=1e-5)
    alone = Predictor(model_folder, "cpu").predict([images[21]])
    np.testing.assert_allclose(alone.probabilities[0], predicted.probabilities[21], atol=1e-5)


def test_a_batch_of_only_broken_pictures_is_no_trouble(model_folder: str) -> None:
    predicted = Predictor(model_folder, "cpu", batch_size=2).predict([b"x", b"y", b"z"])
    assert np.isnan(predicted.probabilities).all()
    assert Predictor(model_folder, "cpu").predict([]).probabilities.shape == (0, 3)


def test_the_predictor_adds_no_noise_though_the_model_was_trained_with_much(tmp_path: Path) -> None:
    noisy = create_model("test_resnet", 3, 32, dropout=0.9, drop_path=0.5)
    inputs = torch.randn(4, 3, 32, 32)
    assert not torch.equal(noisy(inputs), noisy(inputs)), "the same model is noisy in training"
    write_model(str(tmp_path), noisy.state_dict(), card_of())
    predictor = Predictor(str(tmp_path), "cpu")
    images = [encoded(seed) for seed in range(4)]
    np.testing.assert_array_equal(predictor.predict(images).probabilities, predictor.predict(images).probabilities)


def test_a_diverged_model_is_refused(tmp_path: Path) -> None:
    state = create_model("test_resnet", 3, 32, 0, 0).state_dict()
    state["fc.bias"] = torch.full_like(state["fc.bias"], torch.nan)
    write_model(str(tmp_path), state, card_of())
    with pytest.raises(StageError, match="NaN"):
        Predictor(str(tmp_path), "cpu").predict([encoded(0)])


def test_normalized_pixels_are_channels_last() -> None:
    images = torch.randint(0, 256, (2, 5, 5, 3), dtype=torch.uint8)
    out = normalized(images, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert out.shape == (2, 3, 5, 5)
    assert out.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(out[1, 2, 3, 4], (images[1, 3, 4, 2] / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_a_frozen_network_answers_as_the_network_does_for_any_size_of_batch(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, 32, 0.2, 0.1).eval().requires_grad_(False)
    answering = frozen(model, 32)
    assert answering is not model
    for pictures in (1, 2, 7):
        batch = torch.rand(pictures, 3, 32, 32)
        torch.testing.assert_close(answering(batch), model(batch), atol=1e-4, rtol=1e-4)


class Capricious(torch.nn.Module):
    """A model that behaves differently for a single picture, which a trace cannot follow."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean(dim=(1, 2, 3)) * (2.0 if len(pictures) == 1 else 1.0)


class Unwilling(torch.nn.Module):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")


@pytest.mark.parametrize("model", [Capricious(), Unwilling()])
def test_a_network_that_cannot_be_frozen_is_used_as_it_is(model: torch.nn.Module) -> None:
    assert frozen(model, 8) is model
