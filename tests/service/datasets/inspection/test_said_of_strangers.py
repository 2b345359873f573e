"""The warnings about a dataset that is readable but perhaps not meant like this."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.made_datasets import inspect, write_files
from tests.support.made_shards import picture


def encoded(image: Image.Image, file_format: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format)
    return stream.getvalue()


GREY = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000)


@pytest.mark.parametrize("data", [encoded(GREY, "PNG"), encoded(GREY, "TIFF")], ids=["png", "tiff"])
def test_pictures_of_sixteen_bits_are_said(tmp_path: Path, data: bytes) -> None:
    found = inspect(write_files(tmp_path, {"a.img": data, "b.png": picture(1)}), role="unlabeled")

    assert found.manifest.rows == 2
    assert [each for each in found.warnings if "16" in each and each.startswith("1 of 2")]


def test_pictures_of_eight_bits_are_not(tmp_path: Path) -> None:
    found = inspect(write_files(tmp_path, {"a.png": picture(0), "b.png": picture(1)}), role="unlabeled")

    assert found.warnings == ()


@pytest.mark.parametrize(("name", "is_said"), [(".cats", True), ("..cats", True), (".git", False), (".Trash-0", False)])
def test_a_hidden_folder_that_no_program_makes_is_said(tmp_path: Path, name: str, is_said: bool) -> None:
    files = {"a/1.png": picture(0), "b/1.png": picture(1), f"{name}/1.png": picture(2)}
    found = inspect(write_files(tmp_path, files))

    assert found.manifest.rows == 2
    assert bool([each for each in found.warnings if "hidden" in each and name in each]) is is_said
