"""Trains a small model by timm and torch alone, in a process that knows nothing of this project, and saves it.

`python trained_elsewhere.py PARQUET OUT CLASS...` reads the columns `image` and `label` (class names, or their places),
and writes OUT/timm, as timm saves a model, and OUT/checkpoint.pth, as a script that trains on several GPUs does.
"""

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import timm
import torch
from PIL import Image

SIZE, STEPS, BATCH = 32, 60, 64
MEAN, STD = (0.3, 0.3, 0.3), (0.4, 0.4, 0.4)

place, out, *classes = sys.argv[1:]
table = pq.read_table(place, columns=["image", "label"])
labels = [classes.index(label) if isinstance(label, str) else label for label in table["label"].to_pylist()]
pictures = [
    np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    for data in table["image"].to_pylist()
]
pixels = (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255 - MEAN[0]) / STD[0]
truth = torch.tensor(labels)

torch.manual_seed(1)
torch.set_num_threads(1)
model = timm.create_model("test_resnet", num_classes=len(classes))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for _ in range(STEPS):
    rows = torch.randint(len(truth), (BATCH,))
    loss = torch.nn.functional.cross_entropy(model(pixels[rows]), truth[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

folder = Path(out)
timm.models.save_for_hf(
    model,
    str(folder / "timm"),
    safe_serialization=True,
    model_config={
        "num_classes": len(classes),
        "label_names": classes,
        "pretrained_cfg": {
            "input_size": [3, SIZE, SIZE],
            "mean": list(MEAN),
            "std": list(STD),
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "interpolation": "bicubic",
        },
    },
)
wrapped = {f"module.{name}": value for name, value in model.state_dict().items()}
torch.save({"state_dict": wrapped, "optimizer": optimizer.state_dict(), "epoch": 3}, folder / "checkpoint.pth")
