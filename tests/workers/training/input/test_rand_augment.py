"""RandAugment on three scales: each operation does what the source of its scale says."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from timm.data import auto_augment
from torchvision.transforms import InterpolationMode
from torchvision.transforms import RandAugment as TorchvisionRandAugment
from torchvision.transforms.autoaugment import _apply_op

from tests.support.authors_operations import reference
from workers.specs.noise import Noise, RandAugment, RandAugmentScale
from workers.specs.recipe import Recipe
from workers.training.input.magnitudes import Operation, operations
from workers.training.input.rand_augment import (
    PillowOperations,
    RandAugmentation,
    TorchvisionOperations,
    cut_out,
    rand_augmentation,
    sharpness,
)

GREY = (128, 128, 128)
AUTHORS = PillowOperations(GREY, (Image.Resampling.NEAREST,))
TIMM_NAMES = {
    "Posterize": "PosterizeIncreasing",
    "Solarize": "SolarizeIncreasing",
    "Color": "ColorIncreasing",
    "Contrast": "ContrastIncreasing",
    "Brightness": "BrightnessIncreasing",
    "Sharpness": "SharpnessIncreasing",
    "TranslateX": "TranslateXRel",
    "TranslateY": "TranslateYRel",
}


def picture(width: int = 48, height: int = 40, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(20, 230, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def arguments(scale: RandAugmentScale, m: float, size: int = 224) -> dict[str, tuple[float, ...]]:
    return {operation.name: operation.arguments for operation in operations(scale, m, size, size)}


def augmentation(**settings: object) -> RandAugmentation:
    recipe = Recipe(crop="none", image_size=32, noise=Noise(rand_augment=RandAugment.model_validate(settings)))
    found = rand_augmentation(recipe)
    assert found is not None
    return found


# The authors' scale


def test_the_authors_magnitude_of_27_is_beyond_their_level_of_10_and_nothing_is_clipped() -> None:
    assert arguments("authors", 27) == {
        "AutoContrast": (0.0,),
        "Equalize": (0.0,),
        "Invert": (0.0,),
        "Rotate": pytest.approx((81.0, -81.0)),
        "Posterize": (10,),
        "Solarize": (691,),
        "Color": (pytest.approx(4.96),),
        "Contrast": (pytest.approx(4.96),),
        "Brightness": (pytest.approx(4.96),),
        "Sharpness": (pytest.approx(4.96),),
        "ShearX": pytest.approx((0.81, -0.81)),
        "ShearY": pytest.approx((0.81, -0.81)),
        "TranslateX": pytest.approx((270.0, -270.0)),
        "TranslateY": pytest.approx((270.0, -270.0)),
        "SolarizeAdd": (297,),
        "Cutout": (108,),
    }


@pytest.mark.parametrize(
    ("m", "degrees", "bits", "threshold", "factor", "shear", "pixels", "addition", "half"),
    [
        (0, 0, 0, 0, 0.1, 0, 0, 0, 0),
        (6, 18, 2, 153, 1.18, 0.18, 60, 66, 24),
        (12, 36, 4, 307, 2.26, 0.36, 120, 132, 48),
        (15, 45, 6, 384, 2.8, 0.45, 150, 165, 60),
        (18, 54, 7, 460, 3.34, 0.54, 180, 198, 72),
        (24, 72, 9, 614, 4.42, 0.72, 240, 264, 96),
    ],
)
def test_the_authors_magnitudes_for_their_models(
    m: int,
    degrees: float,
    bits: int,
    threshold: int,
    factor: float,
    shear: float,
    pixels: float,
    addition: int,
    half: int,
) -> None:
    """Their scripts take 6, 12, 15, 18, 24 and 27 for B2 to B7."""
    found = arguments("authors", m, 380)
    assert (found["Posterize"], found["Solarize"]) == ((bits,), (threshold,))
    assert (found["SolarizeAdd"], found["Cutout"]) == ((addition,), (half,))
    for name, value in (("Rotate", degrees), ("ShearX", shear), ("ShearY", shear)):
        assert found[name] == pytest.approx((value, -value))
    for name in ("TranslateX", "TranslateY"):
        assert found[name] == pytest.approx((pixels, -pixels))
    for name in ("Color", "Contrast", "Brightness", "Sharpness"):
        assert found[name] == pytest.approx((factor,))


def test_the_authors_distances_do_not_depend_on_the_size_of_large_pictures() -> None:
    assert arguments("authors", 15, 224) == arguments("authors", 15, 600)


@pytest.mark.parametrize(("size", "pixels", "half"), [(28, 1.5, 1), (32, 2.0, 2), (64, 4.0, 4)])
def test_small_pictures_are_moved_and_cut_by_an_eighth_of_their_side_per_level_of_10(
    size: int, pixels: float, half: int
) -> None:
    """As in the authors' preprocessing for pictures of 32 pixels; a shift by 100 pixels would leave none of them."""
    found = arguments("authors", 5, size)
    assert found["TranslateX"] == (pixels, -pixels)
    assert found["Cutout"] == (half,)
    assert found["Rotate"] == (15, -15)


_ROUNDING = {"Color": 6, "Contrast": 6, "Sharpness": 6, "AutoContrast": 1, "Brightness": 1}
"""By how much a value may be off: the grey or smooth picture is rounded, and extrapolation multiplies that by 4.96."""
_SAME_PIXELS = {"Rotate": 0.97, "ShearX": 0.97, "ShearY": 0.97}
"""The share of pixels whose neighbour must be the same: some lie halfway between two."""


@pytest.mark.parametrize("m", [0, 3, 6, 12, 27])
@pytest.mark.parametrize("size", [(48, 40), (300, 224)])
def test_each_of_the_authors_operations_makes_the_picture_of_its_definition(m: int, size: tuple[int, int]) -> None:
    image = picture(*size)
    table = [each for each in operations("authors", m, image.height, image.width) if each.name != "Cutout"]
    assert len(table) == 15
    for operation in table:
        for argument in operation.arguments:
            found = np.asarray(AUTHORS(image, operation.name, argument, random.Random(0))).astype(int)
            expected = reference(np.asarray(image), operation.name, argument).astype(int)
            off = np.abs(found - expected).max(axis=2) > _ROUNDING.get(operation.name, 0)
            assert 1 - off.mean() >= _SAME_PIXELS.get(operation.name, 1.0), (operation.name, argument)


@pytest.mark.parametrize(("centre", "half"), [((24, 20), 6), ((0, 0), 10), ((47, 39), 3), ((10, 10), 108), ((5, 5), 0)])
def test_cutout_fills_a_square_of_twice_its_half_width_and_may_leave_the_picture(
    centre: tuple[int, int], half: int
) -> None:
    image = picture()
    expected = np.array(image)
    left, top = max(0, centre[0] - half), max(0, centre[1] - half)
    expected[top : centre[1] + half, left : centre[0] + half] = 128
    assert np.array_equal(np.asarray(cut_out(image, centre, half, GREY)), expected)


def test_cutout_falls_anywhere_in_the_picture() -> None:
    draws, image = random.Random(0), Image.new("RGB", (40, 20))
    centres = []
    for _ in range(400):
        cut = np.asarray(AUTHORS(image, "Cutout", 1, draws))[..., 0]
        rows, columns = np.nonzero(cut)
        centres.append((columns.max(initial=0), rows.max(initial=0)))
    assert {x for x, _ in centres} >= set(range(1, 39))
    assert {y for _, y in centres} >= set(range(1, 19))


# torchvision's scale


@pytest.mark.parametrize("m", [0, 9, 27, 30])
def test_torchvisions_arguments_are_its_own(m: int) -> None:
    theirs = TorchvisionRandAugment(num_ops=2, magnitude=m, num_magnitude_bins=31)
    space = theirs._augmentation_space(31, (32, 48))
    ours = {operation.name: operation.arguments for operation in operations("torchvision", m, 32, 48)}
    assert set(ours) == set(space)
    for name, (values, signed) in space.items():
        value = float(values[m]) if values.ndim else 0.0
        assert ours[name] == pytest.approx((value, -value) if signed else (value,))


@pytest.mark.parametrize("m", [0, 9, 27])
def test_each_of_torchvisions_operations_makes_its_picture(m: int) -> None:
    image = picture()
    ours = TorchvisionOperations((0, 0, 0))
    for operation in operations("torchvision", m, image.height, image.width):
        for argument in operation.arguments:
            theirs = _apply_op(image, operation.name, argument, InterpolationMode.NEAREST, [0.0, 0.0, 0.0])
            assert ours(image, operation.name, argument, random.Random(0)).tobytes() == theirs.tobytes()


@pytest.mark.parametrize("factor", [0.1, 0.73, 1.27, 1.9, 4.96])
def test_sharpness_is_pillows_byte_for_byte(factor: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    assert np.array_equal(
        np.asarray(sharpness(image, factor)), np.asarray(ImageEnhance.Sharpness(image).enhance(factor))
    )


# timm's scale


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("m", [0, 2, 5, 9, 10])
def test_each_of_timms_operations_makes_its_picture(
    m: int, resample: Image.Resampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, colour = picture(), (10, 90, 200)
    ours = PillowOperations(colour, (resample,))
    table = operations("timm", m, image.height, image.width)
    assert {TIMM_NAMES.get(each.name, each.name) for each in table} == set(auto_augment._RAND_INCREASING_TRANSFORMS)
    for operation in table:
        name = TIMM_NAMES.get(operation.name, operation.name)
        theirs = auto_augment.AugmentOp(  # type: ignore[no-untyped-call]
            name, prob=1.0, magnitude=m, hparams={"img_mean": colour, "interpolation": resample}
        )
        if operation == ("Posterize", (0,)):  # newer versions of Pillow raise here, and so does timm
            assert ours(image, operation.name, 0, random.Random(0)).getcolors() == [(48 * 40, (0, 0, 0))]
            continue
        for argument, chance in zip(operation.arguments, (0.0, 1.0), strict=False):
            monkeypatch.setattr("random.random", lambda chance=chance: chance)
            assert ours(image, operation.name, argument, random.Random(0)).tobytes() == theirs(image).tobytes(), name


def test_timms_magnitudes_are_clipped_at_10() -> None:
    assert operations("timm", 13.5, 224, 224) == operations("timm", 10, 224, 224)
    assert operations("timm", -3, 224, 224) == operations("timm", 0, 224, 224)


def test_timm_fills_gaps_with_the_mean_colour_and_the_authors_with_grey() -> None:
    recipe = Recipe(mean=(0.2, 0.4, 0.6), noise=Noise(rand_augment=RandAugment(scale="timm", m=9)))
    timm, authors = rand_augmentation(recipe), augmentation(scale="authors", m=9)
    assert timm is not None
    white = Image.new("RGB", (32, 32), (255, 255, 255))
    assert timm._applied(white, "TranslateX", 40.0, random.Random(0)).getcolors() == [(1024, (51, 102, 153))]
    assert authors._applied(white, "TranslateX", 40.0, random.Random(0)).getcolors() == [(1024, GREY)]


# What the scales share


def _recorded(augment: RandAugmentation, times: int, seed: int = 4) -> list[tuple[str, float]]:
    applied: list[tuple[str, float]] = []
    augment._applied = lambda image, name, argument, _: (applied.append((name, argument)), image)[1]
    draws = random.Random(seed)
    for _ in range(times):
        augment(picture(32, 32), draws)
    return applied


@pytest.mark.parametrize("scale", ["authors", "torchvision", "timm"])
def test_operations_are_drawn_equally_often_and_signs_too(scale: RandAugmentScale) -> None:
    applied = _recorded(augmentation(scale=scale, n=2, m=9), 4000)
    table = operations(scale, 9, 32, 32)
    counts = Counter(name for name, _ in applied)
    assert set(counts) == {operation.name for operation in table}
    assert all(abs(count / (8000 / len(table)) - 1) < 0.2 for count in counts.values())
    shears = [argument for name, argument in applied if name == "ShearX"]
    assert abs(np.mean(np.array(shears) > 0) - 0.5) < 0.1


@pytest.mark.parametrize("n", [1, 2, 5])
def test_rand_augment_applies_n_operations(n: int) -> None:
    assert len(_recorded(augmentation(scale="authors", n=n, m=9), 50)) == 50 * n


def test_an_operation_is_applied_with_its_probability() -> None:
    applied = _recorded(augmentation(scale="timm", n=2, m=9, probability=0.3), 2000)
    assert abs(len(applied) / 4000 - 0.3) < 0.03


def test_magnitudes_are_drawn_around_m() -> None:
    applied = _recorded(augmentation(scale="authors", n=2, m=10, m_std=2.0), 6000)
    degrees = np.abs([argument for name, argument in applied if name == "Rotate"])
    assert np.mean(degrees) == pytest.approx(30, abs=1)
    assert np.std(degrees) == pytest.approx(6, abs=1)
    assert np.min(np.abs([argument for name, argument in applied if name == "Posterize"])) < 4


@given(st.sampled_from(["authors", "torchvision", "timm"]), st.integers(0, 10), st.integers(0, 2**32), st.floats(0, 3))
def test_the_same_draws_make_the_same_picture(scale: RandAugmentScale, m: int, seed: int, m_std: float) -> None:
    augment, image = augmentation(scale=scale, n=3, m=m, m_std=m_std, probability=0.7), picture(32, 32)
    first, second = (augment(image, random.Random(seed)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert image.tobytes() == picture(32, 32).tobytes()


@given(
    st.sampled_from(["authors", "torchvision", "timm"]),
    st.floats(-5, 120),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_every_operation_copes_with_every_magnitude_and_size(
    scale: RandAugmentScale, m: float, width: int, height: int
) -> None:
    image = picture(width, height)
    recipe = Recipe(noise=Noise(rand_augment=RandAugment(scale=scale, m=0)))
    augment = rand_augmentation(recipe)
    assert augment is not None
    for name, (argument, *_) in operations(scale, m, height, width):
        assert augment._applied(image, name, argument, random.Random(0)).size == (width, height)


def test_operations_without_a_magnitude_have_one_argument() -> None:
    assert Operation("Invert").arguments == (0.0,)
