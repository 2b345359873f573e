"""Weights as timm and torch write them alone. It runs in a process that knows nothing of this project."""

import json
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

folder = Path(sys.argv[1])
torch.manual_seed(1)
model = timm.create_model("test_resnet", num_classes=7)
state = model.state_dict()
other = {name: value + 1 for name, value in state.items()}


def under(prefix: str) -> OrderedDict[str, torch.Tensor]:
    return OrderedDict((f"{prefix}{name}", value) for name, value in state.items())


save_file(state, folder / "plain.safetensors")
torch.save(state, folder / "plain.pth")
torch.save({"state_dict": under("module."), "epoch": 3, "arch": "test_resnet"}, folder / "data_parallel.pth.tar")
torch.save({"state_dict": under("model."), "pytorch-lightning_version": "2"}, folder / "lightning.pt")
torch.save({"model": under("_orig_mod.module.")}, folder / "compiled.pth")
torch.save({"state_dict": other, "state_dict_ema": under("module.")}, folder / "averaged.pth.tar")
torch.save({"model": other, "model_ema": state}, folder / "averaged.pth")
torch.save(state, folder / "before_zip_files.pth", _use_new_zipfile_serialization=False)

without_head = {name: value for name, value in state.items() if not name.startswith("fc.")}
save_file(without_head, folder / "backbone.safetensors")
save_file({"text.weight": torch.zeros(3)} | without_head, folder / "two_towers.safetensors")
save_file({f"{name}.half": value for name, value in state.items()}, folder / "foreign_names.safetensors")
save_file({name: value for name, value in state.items() if "layer" not in name}, folder / "few.safetensors")
larger = {"layer1.9.conv1.weight": torch.zeros(8, 8, 3, 3)} | state
save_file(larger, folder / "larger.safetensors")
save_file(timm.create_model("test_efficientnet", num_classes=7).state_dict(), folder / "efficientnet.safetensors")

grey = timm.create_model("test_resnet", num_classes=7, in_chans=1)
save_file(grey.state_dict(), folder / "grey.safetensors")
from_grey = timm.create_model(
    "test_resnet",
    pretrained=True,
    pretrained_cfg_overlay={"file": str(folder / "grey.safetensors"), "input_size": (1, 160, 160), "num_classes": 7},
    num_classes=10,
    in_chans=3,
)
save_file(from_grey.state_dict(), folder / "timm_from_grey.safetensors")

vit = timm.create_model("test_vit", num_classes=7)
save_file(vit.state_dict(), folder / "vit.safetensors")
small_vit = timm.create_model(
    "test_vit",
    pretrained=True,
    pretrained_cfg_overlay={"file": str(folder / "vit.safetensors"), "num_classes": 7},
    num_classes=10,
    img_size=64,
)
save_file(small_vit.state_dict(), folder / "timm_small_vit.safetensors")

own = folder / "configured"
timm.models.save_for_hf(
    model,
    str(own),
    safe_serialization=True,
    model_config={
        "num_classes": 7,
        "label_names": list("0123456"),
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "crop_pct": 1.0, "crop_mode": "squash"},
    },
)


class Malice:
    """Unpickling it would write a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {folder / 'malice_was_run'}",)


torch.save({"state_dict": state, "extra": Malice()}, folder / "malice.pth")
(folder / "malice_plain.pt").write_bytes(pickle.dumps(Malice()))
(folder / "damaged.safetensors").write_bytes((folder / "plain.safetensors").read_bytes()[:1000])
(folder / "damaged.pth").write_bytes((folder / "plain.pth").read_bytes()[:1000])
(folder / "text.pth").write_text("no weights")
torch.save(["a", "list"], folder / "list.pth")
save_file({}, folder / "empty.safetensors")


def cached(repository: str, commit: str, files: dict[str, bytes]) -> None:
    """Puts files into the hub's cache, as huggingface_hub lays it out."""
    place = folder / "hf" / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    for name, content in files.items():
        (snapshot / name).write_bytes(content)


thousand = timm.create_model("test_resnet")
save_file(thousand.state_dict(), folder / "thousand.safetensors")
cached("timm/test_resnet.r160_in1k", "a" * 40, {"model.safetensors": (folder / "thousand.safetensors").read_bytes()})
cached(
    "acme/pets",
    "b" * 40,
    {
        "config.json": (own / "config.json").read_bytes(),
        "pytorch_model.bin": (folder / "plain.pth").read_bytes(),
    },
)
cached(
    "acme/trojan",
    "c" * 40,
    {
        "config.json": (own / "config.json").read_bytes(),
        "pytorch_model.bin": (folder / "malice.pth").read_bytes(),
    },
)
cached("acme/bert", "d" * 40, {"config.json": json.dumps({"architectures": ["BertModel"]}).encode()})
