"""Each of the three kinds of noise acts on the student in training, and none on the teacher while it labels."""

import io
import random
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from timm.layers.drop import DropPath
from torchvision.transforms import RandomResizedCrop

from workers.models.create import create_model
from workers.models.files import model_card, write_model
from workers.models.predictor import Predictor
from workers.specs.noise import Noise, RandAugment
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.input.noise import Box, TrainingTransform, random_resized_box


def picture(seed: int = 0, size: int = 32) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


WHOLE = Box(0, 0, 32, 32)


def recipe_with(noise: Noise) -> Recipe:
    return Recipe(image_size=32, crop="none", horizontal_flip=False, noise=noise)


def outputs_of_one_batch(noise: Noise, times: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    student = create_model("test_resnet", 10, 32, noise.dropout, noise.drop_path).train()
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # timm initializes residual branches to zero, where dropping them changes nothing.
            torch.nn.init.ones_(module.weight)
    # The same batch has the same statistics, so differences between passes are noise.
    batch = torch.randn(16, 3, 32, 32)
    return [student(batch).detach() for _ in range(times)]


def differ(outputs: list[torch.Tensor]) -> bool:
    return any(not torch.equal(outputs[0], other) for other in outputs[1:])


def test_rand_augment_changes_the_pixels_a_student_trains_on() -> None:
    noisy = TrainingTransform(recipe_with(Noise(rand_augment=RandAugment(n=2, m=9), dropout=0, drop_path=0)))
    plain = TrainingTransform(recipe_with(Noise(rand_augment=None, dropout=0, drop_path=0)))
    image, draws = np.array(picture()), random.Random(0)
    assert all(np.array_equal(plain(image, WHOLE, draws), image) for _ in range(5))
    assert sum(not np.array_equal(noisy(image, WHOLE, draws), image) for _ in range(20)) >= 10
    assert len({noisy(image, WHOLE, draws).tobytes() for _ in range(20)}) >= 10


def test_dropout_alone_changes_a_students_output_in_training() -> None:
    assert differ(outputs_of_one_batch(Noise(rand_augment=None, dropout=0.5, drop_path=0), 3))


def test_stochastic_depth_alone_changes_a_students_output_in_training() -> None:
    assert differ(outputs_of_one_batch(Noise(rand_augment=None, dropout=0, drop_path=0.5), 3))


def test_without_noise_a_students_output_stays_the_same() -> None:
    assert not differ(outputs_of_one_batch(Noise(rand_augment=None, dropout=0, drop_path=0), 3))


def test_stochastic_depth_rises_linearly_to_its_rate_at_the_last_layer() -> None:
    model = create_model("resnet18", 10, 32, 0.0, 0.2)
    rates = [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.2)
    assert np.diff(rates) == pytest.approx(np.diff(rates)[0])


@pytest.fixture
def teacher_folder(tmp_path: Path) -> str:
    """A teacher that was itself trained with all three kinds of noise."""
    noise = Noise(rand_augment=RandAugment(n=2, m=27), dropout=0.5, drop_path=0.5)
    spec = TrainSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri=str(tmp_path),
        seed=0,
        model="test_resnet",
        classes=tuple("abc"),
        recipe=recipe_with(noise),
        labeled_manifest_uri="",
        validation_manifest_uri="",
        workers=WorkerGroup(),
    )
    model = create_model(spec.model, 3, 32, noise.dropout, noise.drop_path)
    write_model(str(tmp_path), model.state_dict(), model_card(spec, model))
    return str(tmp_path)


def test_a_labeling_teacher_is_in_eval_mode_and_answers_the_same_each_time(teacher_folder: str) -> None:
    buffer = io.BytesIO()
    picture(size=48).save(buffer, format="PNG")
    predictor = Predictor(teacher_folder, torch.device("cpu"))
    answers = [predictor.predict([buffer.getvalue()] * 4).probabilities for _ in range(3)]
    assert all(np.array_equal(answers[0], other) for other in answers[1:])
    assert not any(module.training for module in predictor.model.modules())


def test_a_labeling_teacher_sees_the_clean_picture(teacher_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("workers.models.clean_model.frozen", lambda model, image_size: model)  # so that hooks work
    predictor = Predictor(teacher_folder, torch.device("cpu"))
    predictor.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    image = picture(size=32)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    predictor.predict([buffer.getvalue()])
    mean, std = torch.tensor(Recipe().mean), torch.tensor(Recipe().std)
    expected = (torch.from_numpy(np.asarray(image).copy()).float() / 255 - mean) / std
    assert torch.allclose(seen[0][0].permute(1, 2, 0), expected, atol=1e-5)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (60, 900), (900, 60)])
def test_crops_are_distributed_as_torchvisions(width: int, height: int) -> None:
    """A Kolmogorov-Smirnov test on area, ratio and position of 1,000 boxes each from here and from torchvision."""
    torch.manual_seed(0)
    draws, blank = random.Random(1), Image.new("RGB", (width, height))
    ours = np.array([astuple(random_resized_box(width, height, draws)) for _ in range(1000)], dtype=float)
    theirs = np.array(
        [RandomResizedCrop.get_params(blank, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(1000)], dtype=float
    )
    theirs = theirs[:, [1, 0, 3, 2]]
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    assert ((ours[:, :2] >= 0) & (ours[:, :2] + ours[:, 2:] <= [width, height])).all()


def test_a_part_of_a_picture_stays_within_it_when_it_is_scaled() -> None:
    assert Box(100, 50, 301, 199).decoded((401, 249), (201, 125)) == Box(50, 25, 150.5, 99.5)
