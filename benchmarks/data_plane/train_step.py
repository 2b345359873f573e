"""The train stage's steps, compared with a plain torch loop on batches made in advance.

The stage reads, decodes and augments, keeps the moving average, writes progress, validates at its end and saves the
model. The plain loop has only the forward and backward pass and the same optimizer on the same device. The contenders
take turns, each in a new Python process.

On the CPU: ResNet-18 at 224 pixels, the lightest model that papers compare, with 8 labeled and 24 pseudo-labeled images
per step. Loading uses the same cores as the model, so the ratio is at most model / (model + loading), and
`train.loading_share` is the share of loading in a step. With a GPU: ResNet-50 in bf16, with batches made by all cores
but one, compared also with the same loop compiled.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.data_plane import ingest
from benchmarks.results import ResultRow, row, save
from benchmarks.support.photographs import CLASSES, write_photograph_shards
from benchmarks.support.two_cores import CORES, hold_to_two_cores
from workers.specs.labeling import PseudoLabels
from workers.specs.noise import Noise, RandAugment
from workers.specs.optimization import Optimizer, Schedule
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup

FOLDER = ingest.FOLDER
ROUNDS = 3
_COMMAND = "make benchmark-train"


@dataclass(frozen=True)
class _Setting:
    device: str
    model: str
    labeled: int
    ratio: int
    steps: int
    loader_processes: int

    @property
    def images(self) -> int:
        return self.labeled * (1 + self.ratio)


_CPU = _Setting("cpu", "resnet18", labeled=8, ratio=3, steps=12, loader_processes=0)
_GPU = _Setting("cuda", "resnet50", labeled=64, ratio=3, steps=120, loader_processes=max(1, (os.cpu_count() or 2) - 1))


def main() -> None:
    """Measures all rounds in turns, then writes the rows."""
    import torch

    ingest.prepare()
    write_photograph_shards(FOLDER / "validation", 1, 32, labeled=True)
    rows = _gpu_rows() if torch.cuda.is_available() else []
    hold_to_two_cores()
    rounds = [{name: _run(name) for name in ("stage", "plain", "loading")} for _ in range(ROUNDS)]
    rows += [
        row("train.seconds_a_step", [each["stage"] for each in rounds], _unit(_CPU), "", _COMMAND),
        row("train.vs_plain_loop", _ratios(rounds, "plain"), "ratio of step speeds; goal: 0.9", _PLAIN, _COMMAND),
        row(
            "train.loading_share",
            [each["loading"] / each["stage"] for each in rounds],
            "share of a step's seconds; measured alone, in one process",
            "",
            _COMMAND,
        ),
    ]
    save(rows)


def _gpu_rows() -> list[ResultRow]:
    names = ("gpu-stage", "gpu-plain", "gpu-compiled", "gpu-loading")
    rounds = [{name.removeprefix("gpu-"): _run(name) for name in names} for _ in range(ROUNDS)]
    bounds = {name: np.mean([each[name] for each in rounds]) for name in ("plain", "loading")}
    bound = f"bounded by {'loading' if bounds['loading'] > bounds['plain'] else 'the model'}"
    return [
        row("train.gpu.seconds_a_step", [each["stage"] for each in rounds], _unit(_GPU), bound, _COMMAND),
        row("train.gpu.vs_plain_loop", _ratios(rounds, "plain"), f"ratio; {bound}", _PLAIN, _COMMAND),
        row("train.gpu.vs_compiled_loop", _ratios(rounds, "compiled"), f"ratio; {bound}", "compiled", _COMMAND),
    ]


_PLAIN = "a plain loop, batches made before"


def _unit(setting: _Setting) -> str:
    return f"s, {setting.images} images, {setting.model}"


def _ratios(rounds: list[dict[str, float]], rival: str) -> list[float]:
    return [each[rival] / each["stage"] for each in rounds]


def _run(contender: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.data_plane.train_step", contender],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(CORES)},
    )
    seconds = float(json.loads(done.stdout.splitlines()[-1]))
    print(contender, round(seconds, 3), "s a step", flush=True)
    return seconds


def _spec(setting: _Setting) -> TrainSpec:
    return TrainSpec(
        run_id="benchmark",
        generation=1,
        attempt=1,
        folder_uri=str(FOLDER / "train"),
        seed=0,
        model=setting.model,
        classes=CLASSES,
        recipe=Recipe(
            steps=setting.steps,
            batch_size=setting.labeled,
            unlabeled_ratio=setting.ratio,
            noise=Noise(rand_augment=RandAugment(n=2, m=9), dropout=0.3, drop_path=0.1),
            optimizer=Optimizer(name="adamw", learning_rate=1e-3),
            schedule=Schedule(warmup_steps=1),
        ),
        labeled_manifest_uri=str(FOLDER / "labeled" / "manifest.json"),
        validation_manifest_uri=str(FOLDER / "validation" / "manifest.json"),
        pseudo_labels=PseudoLabels(
            manifest_uri=str(FOLDER / "unlabeled" / "manifest.json"),
            labels_uri=str(FOLDER / "label"),
            selection_uri=str(FOLDER / "select"),
        ),
        workers=WorkerGroup(num_workers=1, cpus_per_worker=CORES, loader_processes=setting.loader_processes),
    )


def _stage(setting: _Setting) -> float:
    from workers.training.group.session import LoneSession
    from workers.training.loop import train
    from workers.training.summary import SUMMARY_FILE, TrainSummary

    folder = FOLDER / "train"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    train(_spec(setting), time.time(), LoneSession(gpus=1))  # the GPU is hidden from contenders on the CPU
    summary = TrainSummary.model_validate_json((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    return (summary.work_ended_at - summary.work_started_at) / setting.steps


def _loading(setting: _Setting) -> float:
    """Seconds per step of the stage's input alone."""
    import torch

    torch.set_num_threads(CORES)
    batches = ingest.student_batches(setting.labeled, setting.images - setting.labeled, setting.loader_processes)
    next(batches)  # starts the processes and opens the shards
    started_at = time.perf_counter()
    for _ in range(setting.steps):
        next(batches)
    return (time.perf_counter() - started_at) / setting.steps


def _plain(setting: _Setting, compiled: bool = False) -> float:
    import timm
    import torch

    torch.set_num_threads(CORES)
    torch.backends.cudnn.benchmark = True
    model = timm.create_model(setting.model, num_classes=len(CLASSES), drop_rate=0.3, drop_path_rate=0.1)
    model = model.to(setting.device).to(memory_format=torch.channels_last).train()
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    batches = _random_batches(setting)
    started_at = 0.0
    # A GPU's first steps choose kernels and compile. The stage's average includes them, over more steps.
    warm_up = 10 if setting.device == "cuda" else 0
    for step in range(-warm_up, setting.steps):
        if step == 0:
            started_at = _now(setting)
        inputs, targets = batches[step % len(batches)]
        with torch.autocast(setting.device, dtype=torch.bfloat16, enabled=setting.device == "cuda"):
            loss = torch.nn.functional.cross_entropy(forward(inputs).float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return (_now(setting) - started_at) / setting.steps


def _random_batches(setting: _Setting) -> list[Any]:
    import torch

    rng = np.random.default_rng(0)
    targets = [rng.dirichlet(np.ones(len(CLASSES)), setting.images).astype(np.float32) for _ in range(4)]
    images = [torch.rand(setting.images, 3, 224, 224).to(memory_format=torch.channels_last) for _ in range(4)]
    return [
        (image.to(setting.device), torch.from_numpy(target).to(setting.device))
        for image, target in zip(images, targets, strict=True)
    ]


def _now(setting: _Setting) -> float:
    import torch

    if setting.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


_CONTENDERS = {
    "stage": lambda: _stage(_CPU),
    "plain": lambda: _plain(_CPU),
    "loading": lambda: _loading(_CPU),
    "gpu-stage": lambda: _stage(_GPU),
    "gpu-plain": lambda: _plain(_GPU),
    "gpu-compiled": lambda: _plain(_GPU, compiled=True),
    "gpu-loading": lambda: _loading(_GPU),
}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(_CONTENDERS[sys.argv[1]]()))
    else:
        main()
