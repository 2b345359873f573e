"""Exports a model: writes the file, compares it with the model on real images, and only then gives it its name."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from workers.data.errors import BrokenImage
from workers.exporting.formats import FORMATS, Program
from workers.models.clean_batches import clean_picture
from workers.models.files import load_model
from workers.models.normalize import normalized
from workers.specs.export import EXPORT_TOLERANCE, ExportFormat, ExportReport
from workers.specs.model_card import MODEL_CARD_FILE, ModelCard, model_id
from workers.specs.timm_config import TIMM_CONFIG_FILE

_LEAST_IMAGES = 2
"""The file must take any number of images at once, so at least two numbers are tried."""
METADATA = "noisy_student"
"""The name under which the file holds what it is, as JSON."""


class ExportFailed(Exception):
    """The model cannot be exported. The message is for people."""


def export_model(
    folder: Path, kind: ExportFormat, target: Path, images: Sequence[bytes], tolerance: float = EXPORT_TOLERANCE
) -> ExportReport:
    """Writes the model of a folder that timm can load to the file `target`, which takes (images, 3, size, size).

    `images` are encoded pictures like those that the model is for. Raises ExportFailed if fewer than two of them can be
    read, or the file's answers differ from the model's by more than `tolerance` (relative to logits above 1); then no
    file is there.
    """
    missing = [name for name in (MODEL_CARD_FILE, TIMM_CONFIG_FILE) if not (folder / name).is_file()]
    if missing:
        raise ExportFailed(f"{folder} has no {' and no '.join(missing)}: name a folder that `models pull` has made")
    model, card = load_model(str(folder))
    inputs = _inputs(images, card)
    with torch.inference_mode():
        expected: npt.NDArray[np.float32] = model(inputs).numpy()
    program = _program(kind, folder, card)
    with _scratch_beside(target) as scratch:
        unchecked = scratch / target.name
        program.save(unchecked, {})
        report = _compared(program, unchecked, inputs.numpy(), expected, kind)
        if not report.max_difference <= tolerance * max(1.0, report.largest_logit):  # NaN is not
            raise ExportFailed(
                f"the exported file's logits differ from the model's by up to {report.max_difference:.3g} on "
                f"{report.images} images, with logits of up to {report.largest_logit:.3g}"
            )
        program.save(unchecked, {METADATA: json.dumps(_description(card, report), ensure_ascii=False)})
        # A file of weights beside it, if there is one, comes first.
        for file in sorted(scratch.iterdir(), key=lambda each: each == unchecked):
            file.replace(target.parent / file.name)
    return report


def _program(kind: ExportFormat, folder: Path, card: ModelCard) -> Program:
    try:
        return FORMATS[kind](folder, card.image_size)
    except Exception as error:  # an architecture may do anything that has no place in a graph
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ExportFailed(f"{card.model} cannot be written as {kind}: {reason}") from error


def _inputs(images: Sequence[bytes], card: ModelCard) -> torch.Tensor:
    """The readable pictures as the model's input."""
    pictures = [clean_picture(each, card, with_thumbnail=False) for each in images]
    readable = [each.crops[0] for each in pictures if not isinstance(each, BrokenImage)]
    if len(readable) < _LEAST_IMAGES:
        raise ExportFailed(
            f"{len(readable)} of {len(images)} images can be read; the export is compared with the model on at least "
            f"{_LEAST_IMAGES}"
        )
    return normalized(torch.from_numpy(np.stack(readable)), card.mean, card.std).contiguous()


def _compared(
    program: Program,
    file: Path,
    inputs: npt.NDArray[np.float32],
    expected: npt.NDArray[np.float32],
    kind: ExportFormat,
) -> ExportReport:
    """Runs the file on one image, then on all others at once."""
    answer = program.open(file)
    found = np.concatenate([answer(inputs[:1]), answer(inputs[1:])])
    return ExportReport(
        format=kind,
        opset=program.opset,
        images=len(inputs),
        max_difference=float(np.abs(found - expected).max()),
        largest_logit=float(np.abs(expected).max()),
        versions={name: version(name) for name in program.packages},
    )


def _description(card: ModelCard, report: ExportReport) -> Mapping[str, object]:
    """What the file's user needs to know, and how it was checked."""
    return {
        "model": model_id(card.run_id, card.generation),
        "architecture": card.model,
        "classes": card.classes,
        "input": {
            "size": card.image_size,
            "mean": card.mean,
            "std": card.std,
            "crop": card.crop,
            "crop_fraction": None if card.crop == "none" else card.crop_fraction,
            "interpolation": card.interpolation,
        },
        "check": report.model_dump(mode="json"),
    }


@contextmanager
def _scratch_beside(target: Path) -> Iterator[Path]:
    """A hidden folder on the same file system, deleted at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
