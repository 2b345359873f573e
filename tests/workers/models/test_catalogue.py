"""The control plane's catalog matches the models of the installed timm (docs/decisions/0003)."""

import importlib
import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from service.model_catalog import load_catalog
from service.model_catalog.generate import CATALOG_PATH, describe

ROOT = Path(__file__).parents[3]
SAMPLE = (
    "convnext_atto",
    "crossvit_tiny_240",
    "deit_tiny_distilled_patch16_224",
    "efficientnet_b0",
    "lcnet_050",
    "levit_128s",
    "resnet18",
    "test_efficientnet",
    "test_resnet",
    "vgg11",
    "xcit_nano_12_p16_224",
)
"""A distilled model with two heads, and models with and without drop path, dropout and their own image size."""


def test_the_catalogue_is_of_the_timm_that_is_pinned() -> None:
    written = json.loads(CATALOG_PATH.read_text(encoding="utf-8"))["timm_version"]
    [pinned] = re.findall(r"^timm==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert written == pinned


@pytest.mark.parametrize("name", SAMPLE)
def test_a_model_is_as_the_catalogue_says(name: str) -> None:
    if version("timm") != json.loads(CATALOG_PATH.read_text(encoding="utf-8"))["timm_version"]:
        pytest.skip("another timm than the catalogue's is installed")
    timm, torch = importlib.import_module("timm"), importlib.import_module("torch")
    assert describe(timm, torch, name) == load_catalog()[name].model_dump()


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (("resnet18", "efficientnet_b0", "convnext_atto", "crossvit_tiny_240"), (True, True, True, True)),
        (("lcnet_050", "mobilenetv1_100", "test_efficientnet"), (False, False, True, True)),
        (("cait_xxs24_224", "coat_tiny", "xcit_nano_12_p16_224", "gmlp_s16_224"), (True, False, True, True)),
        (("levit_128s", "sequencer2d_s"), (True, False, True, False)),
        (("vgg11",), (False, False, True, False)),
        (("volo_d1_224", "cpubone_nano"), (True, True, True, False)),
    ],
)
def test_the_catalogue_says_what_noise_acts_and_how(names: tuple[str, ...], row: tuple[bool, ...]) -> None:
    """Drop path, whether its rate falls to the first layer, dropout, and whether it acts on the classifier only."""
    for name in names:
        model = load_catalog()[name]
        found = model.drop_path, model.drop_path_falls, model.dropout, model.dropout_on_classifier
        assert found == row, name
