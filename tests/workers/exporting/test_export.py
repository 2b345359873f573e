"""Exported models answer as the model does, for any number of images, in a process with only what runs the file."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from typer.testing import CliRunner

from noisy_student.cli.main import app as commands
from tests.support.stored_models import store_model
from workers.exporting.export import METADATA, ExportFailed, export_model
from workers.exporting.formats import FORMATS
from workers.exporting.pictures import some_pictures
from workers.models.predictor import Predictor
from workers.specs.export import EXPORT_TOLERANCE, ExportFormat, ExportReport

CLASSES = ("cat", "dog", "été")
ONNX_USER = """
import json, sys
import numpy, onnxruntime
assert not {"torch", "timm", "workers"} & set(sys.modules)
session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["noisy_student"])
mean, std = (numpy.array(about["input"][name], numpy.float32)[:, None, None] for name in ("mean", "std"))
inputs = [(numpy.load(file) / numpy.float32(255) - mean) / std for file in sys.argv[2:]]
logits = [session.run(["logits"], {"pixels": pixels})[0].tolist() for pixels in inputs]
print(json.dumps([about["classes"], *logits]))
"""
TORCH_USER = """
import json, sys
import numpy, torch
files = {"noisy_student": ""}
program = torch.export.load(sys.argv[1], extra_files=files).module()
about = json.loads(files["noisy_student"])
mean, std = (torch.tensor(about["input"][name])[:, None, None] for name in ("mean", "std"))
assert not {"timm", "workers"} & set(sys.modules)
inputs = [(torch.from_numpy(numpy.load(file)) / 255 - mean) / std for file in sys.argv[2:]]
print(json.dumps([about["classes"], *(program(pixels).tolist() for pixels in inputs)]))
"""


def photographs(count: int, size: int = 96) -> list[bytes]:
    """Different parts of two photographs, as PNG files of `size` pixels."""
    pictures = [Image.fromarray(each) for each in load_sample_images().images]
    found = []
    for number in range(count):
        left = 37 * number % 300
        buffer = io.BytesIO()
        part = pictures[number % 2].crop((left, left // 2, left + 300, left // 2 + 240))
        part.resize((size, size), Image.Resampling.BICUBIC).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store_model(str(folder), "test_vit", CLASSES, image_size=64)
    return folder


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[ExportFormat, tuple[Path, ExportReport]]:
    """The model in every format."""
    folder = tmp_path_factory.mktemp("exported")
    images = photographs(7)
    return {kind: (folder / kind, export_model(model, kind, folder / kind, images)) for kind in FORMATS}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_report_and_the_file_say_how_far_the_answers_differ(
    exported: dict[ExportFormat, tuple[Path, ExportReport]], kind: ExportFormat
) -> None:
    file, report = exported[kind]
    assert report.images == 7
    assert 0 <= report.max_difference <= EXPORT_TOLERANCE
    assert report.largest_logit > 1e-3
    if kind == "onnx":
        [entry] = [each for each in onnx.load(file).metadata_props if each.key == METADATA]
        recorded = json.loads(entry.value)
    else:
        inside = {METADATA: ""}
        torch.export.load(file, extra_files=inside)
        recorded = json.loads(inside[METADATA])
    assert ExportReport.model_validate(recorded["check"]) == report
    assert recorded["classes"] == list(CLASSES)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_process_without_this_project_gets_the_models_answers_for_any_number_of_images(
    model: Path, exported: dict[ExportFormat, tuple[Path, ExportReport]], tmp_path: Path, kind: ExportFormat
) -> None:
    counts = (1, 3)
    for count in counts:
        np.save(tmp_path / f"{count}.npy", _prepared(photographs(count, size=64)))
    code = ONNX_USER if kind == "onnx" else TORCH_USER
    arrays = [str(tmp_path / f"{count}.npy") for count in counts]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(exported[kind][0]), *arrays],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    classes, *answers = json.loads(done.stdout)
    assert classes == list(CLASSES)
    for count, logits in zip(counts, answers, strict=True):
        ours, _ = Predictor(str(model)).logits(photographs(count, size=64))
        np.testing.assert_allclose(np.array(logits), ours, atol=1e-4)


def _prepared(images: list[bytes]) -> npt.NDArray[np.float32]:
    """The pictures as the card says, by Pillow alone: 64 of the 73 resized pixels, (images, 3, 64, 64) in 0..255."""
    resized = [Image.open(io.BytesIO(image)).resize((73, 73), Image.Resampling.BICUBIC) for image in images]
    return np.stack([np.asarray(each) for each in resized])[:, 4:68, 4:68].transpose(0, 3, 1, 2).astype(np.float32)


def test_a_file_whose_answers_differ_is_not_kept(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model, other)
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    config["model_args"]["act_layer"] = "relu"  # the same weights in a network that answers otherwise
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ExportFailed, match="logits differ from the model's by up to"):
        export_model(other, "torch-export", tmp_path / "out" / "m.pt2", photographs(4))
    assert list((tmp_path / "out").iterdir()) == []


def test_an_export_needs_real_pictures(model: Path, tmp_path: Path) -> None:
    broken = [b"no picture", photographs(1)[0]]
    with pytest.raises(ExportFailed, match="1 of 2 images can be read"):
        export_model(model, "torch-export", tmp_path / "m.pt2", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_timms_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match=r"no model\.json and no config\.json"):
        export_model(tmp_path, "onnx", tmp_path / "m.onnx", photographs(2))


def test_pictures_come_from_folders_and_from_parquet(tmp_path: Path) -> None:
    images = photographs(6, size=8)
    for number, image in enumerate(images):
        file = tmp_path / "folders" / f"class {number % 2}" / f"{number}.PNG"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)
    assert sorted(some_pictures(tmp_path / "folders", 10)) == sorted(images)
    assert len(some_pictures(tmp_path / "folders", 4)) == 4
    table = tmp_path / "table"
    table.mkdir()
    pq.write_table(pa.table({"image": images[:3], "label": [0, 1, 2]}), table / "a.parquet")
    pq.write_table(pa.table({"image": [{"bytes": each, "path": None} for each in images[3:]]}), table / "b.parquet")
    assert some_pictures(table, 10) == images
    assert some_pictures(table, 2) == [images[0], images[3]]
    assert some_pictures(table / "a.parquet", 2) == images[:2]
    (tmp_path / "none").mkdir()
    assert some_pictures(tmp_path / "none", 10) == []


def test_the_command_exports_a_pulled_folder_and_says_the_difference(model: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, image in enumerate(photographs(3)):
        (pictures / f"{number}.png").write_bytes(image)

    def export(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(commands, ["models", "export", str(model), "--format", "torch-export", *words])
        return done.exit_code, done.output

    code, said = export("-o", str(tmp_path / "m.pt2"), "--images", str(pictures), "--report", "json")
    assert code == 0, said
    assert ExportReport.model_validate_json(said).images == 3
    assert (tmp_path / "m.pt2").is_file()
    code, said = export("-o", str(tmp_path / "n.pt2"), "--images", str(tmp_path / "m.pt2"))
    assert (code, "has no pictures" in said) == (1, True)
