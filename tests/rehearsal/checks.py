"""What must hold for runs on a cluster that was disturbed: nothing lost, nothing done twice."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.faults.watch import Watch, complaints
from service.views.runs import RunView, StageView
from tests.rehearsal.watch import stages_of

CHECKPOINT_EVERY_STEPS = 20
_SAME_CONFIDENCE = 0.02
"""Label files keep half precision, and images per forward pass change the last digits."""


def lost_or_doubled(runs: Sequence[RunView], watch: Watch, unlabeled: Path) -> list[str]:
    """Everything that does not hold for runs that should have succeeded, in words."""
    found: list[str] = []
    for run in runs:
        stages = stages_of(run)
        found += complaints(run, list(stages.values()), watch, CHECKPOINT_EVERY_STEPS)
        for name, stage in stages.items():
            if stage.result is None:
                continue
            if stage.name == "label":
                found += [f"{run.id} {name}: {each}" for each in wrong_labels(stage, unlabeled)]
            if stage.name == "train":
                there = {path.name for path in Path(stage.folder_uri).iterdir()}
                files = {"model.safetensors", "config.json", "model.json"}
                found += [f"{run.id} {name}: no {each}" for each in files - there]
    return found


def wrong_labels(stage: StageView, unlabeled: Path) -> list[str]:
    """How the label files differ from what the teacher says of the dataset's rows, computed anew with plain timm."""
    folder = Path(stage.folder_uri)
    shards, parts = sorted(unlabeled.glob("*.parquet")), sorted(folder.glob("part-*.parquet"))
    teacher = folder.parent.parent / f"gen-{stage.generation - 1}" / "train"
    result = stage.result or {}
    found = []
    if len(parts) != len(shards):
        found.append(f"{len(parts)} label files of {len(shards)} shards")
    rows = sum(pq.read_metadata(shard).num_rows for shard in shards)
    if (result["shards"], result["images"], result["labeled"]) != (len(shards), rows, rows):
        found.append(f"of {len(shards)} shards and {rows} images the result says {result}")
    for shard, part in zip(shards, parts, strict=False):
        found += [f"{part.name}: {each}" for each in _differences(pq.read_table(shard), pq.read_table(part), teacher)]
    return found


def _differences(shard: pa.Table, part: pa.Table, teacher: Path) -> list[str]:
    if shard["key"].to_pylist() != part["key"].to_pylist():
        return ["its keys are not those of its shard, in their order"]
    probabilities = _said_by(teacher, shard["image"].to_pylist())
    unsure = np.abs(np.diff(np.sort(probabilities, axis=1)[:, -2:], axis=1)[:, 0]) < _SAME_CONFIDENCE
    labels = probabilities.argmax(1) != np.array(part["label"].to_pylist())
    confidences = np.abs(probabilities.max(1) - np.array(part["confidence"].to_pylist())) > _SAME_CONFIDENCE
    wrong = int((labels & ~unsure | confidences).sum())
    return [f"{wrong} rows have another label or confidence than the teacher gives"] if wrong else []


def _said_by(teacher: Path, images: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """The model's probabilities, (images, classes)."""
    import timm
    import torch
    from safetensors.torch import load_file

    card = json.loads((teacher / "model.json").read_text(encoding="utf-8"))
    model = timm.create_model(card["model"], num_classes=len(card["classes"]), **card["model_options"]).eval()
    model.load_state_dict(load_file(teacher / "model.safetensors"))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(each)).convert("RGB")) for each in images]) / 255
    inputs = torch.tensor((pixels - card["mean"]) / card["std"], dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.inference_mode():
        probabilities: npt.NDArray[np.float64] = model(inputs).softmax(1).double().numpy()
    return probabilities
