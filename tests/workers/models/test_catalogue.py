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
SAMPLE = ("convnext_atto", "deit_tiny_distilled_patch16_224", "efficientnet_b0", "resnet18", "test_resnet", "vgg11")
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
