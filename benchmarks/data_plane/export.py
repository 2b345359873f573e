"""Exports models of several families as ONNX, and compares the files' logits with torch's on photographs."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.results import row, save
from benchmarks.support.photographs import photographs
from benchmarks.support.two_cores import hold_to_two_cores
from workers.exporting.export import export_model
from workers.models.create import create_model, model_options
from workers.models.files import write_model
from workers.specs.export import ExportReport
from workers.specs.model_card import ModelCard

COMMAND = "python -m benchmarks.data_plane.export"
_FAMILIES = ("resnet18", "efficientnet_b0", "mobilenetv3_small_100", "convnext_atto", "vit_tiny_patch16_224")
_CLASSES = 1000
_SIZE = 224
_IMAGES = 32
_LOGIT = 20.0
"""About the largest logit of a trained model."""


def main() -> None:
    hold_to_two_cores()
    images = photographs(np.random.default_rng(0), _IMAGES)
    found: list[float] = []
    for name in _FAMILIES:
        report = exported(name, images)
        print(f"{name}: {report.max_difference:.3g}, with logits of up to {report.largest_logit:.3g}", flush=True)
        found.append(report.max_difference * 1e6)
    unit = "millionths of a logit: the largest difference over five families; goal: below 100"
    save([row("export.onnx_max_difference", [max(found)], unit, "the same models in torch", COMMAND)])


def exported(name: str, images: list[bytes]) -> ExportReport:
    """Exports a model with random weights, whose logits are made as large as a trained model's. Keeps nothing."""
    torch.manual_seed(0)
    model = create_model(name, _CLASSES, _SIZE, dropout=0.0, drop_path=0.0).eval()
    with torch.inference_mode():
        largest = model(torch.randn(4, 3, _SIZE, _SIZE)).abs().max()
        for parameter in model.get_classifier().parameters():  # type: ignore[operator]
            parameter.mul_(_LOGIT / largest)
    card = ModelCard(
        model=name,
        classes=tuple(f"class {number}" for number in range(_CLASSES)),
        image_size=_SIZE,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        crop="center",
        model_options=model_options(name, _SIZE),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        run_id="benchmark",
        generation=0,
        validation_top1=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder, model.state_dict(), card)
        return export_model(Path(folder), "onnx", Path(folder) / "model.onnx", images)


if __name__ == "__main__":
    main()
