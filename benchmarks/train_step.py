"""The train stage's steps beside a plain torch loop on batches that were made before it began.

ResNet-18, 224 pixels, 8 labeled and 24 pseudo-labeled photographs a step, RandAugment, dropout, drop path, moving
average, on both cores. The stage reads, decodes and augments in the same process, writes progress, validates at its
end and keeps the model; the plain loop has the forward and backward pass and the same optimiser, and nothing else.
"""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np

from benchmarks import ingest
from benchmarks.photographs import CLASSES, write_photograph_shards
from benchmarks.results import row, save
from workers.specs.recipe import Noise, Optimizer, RandAugment, Recipe, Schedule
from workers.specs.stages import PseudoLabels, TrainSpec, WorkerGroup

FOLDER = ingest.FOLDER
ROUNDS = 3
_CORES = 2
_STEPS = 20
_LABELED, _RATIO = 8, 3
_MODEL = "resnet18"
_COMMAND = "make benchmark-train"


def main() -> None:
    """All rounds in turns, then the rows."""
    ingest.prepare()
    write_photograph_shards(FOLDER / "validation", 1, 32, labeled=True)
    rounds = [{name: _run(name) for name in ("stage", "plain")} for _ in range(ROUNDS)]
    ratios = [each["plain"] / each["stage"] for each in rounds]
    save(
        [
            row("train.seconds_a_step", [each["stage"] for each in rounds], f"s, 32 images, {_MODEL}", "", _COMMAND),
            row("train.vs_plain_loop", ratios, "ratio of step speeds", "a plain loop, batches made before", _COMMAND),
        ]
    )


def _run(contender: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_step", contender],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(_CORES)},
    )
    seconds = float(json.loads(done.stdout.splitlines()[-1]))
    print(contender, round(seconds, 3), "s a step", flush=True)
    return seconds


def _stage() -> float:
    from workers.training.loop import train
    from workers.training.session import LoneSession
    from workers.training.summary import SUMMARY_FILE, TrainSummary

    folder = FOLDER / "train"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    spec = TrainSpec(
        run_id="benchmark",
        generation=1,
        attempt=1,
        folder_uri=str(folder),
        seed=0,
        model=_MODEL,
        classes=CLASSES,
        recipe=Recipe(
            steps=_STEPS,
            batch_size=_LABELED,
            unlabeled_ratio=_RATIO,
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
        workers=WorkerGroup(num_workers=1, cpus_per_worker=_CORES),
    )
    train(spec, time.time(), LoneSession())
    summary = TrainSummary.model_validate_json((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    return (summary.work_ended_at - summary.work_started_at) / _STEPS


def _plain() -> float:
    import timm
    import torch

    torch.set_num_threads(_CORES)
    model = timm.create_model(_MODEL, num_classes=len(CLASSES), drop_rate=0.3, drop_path_rate=0.1)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    rng = np.random.default_rng(0)
    images = _LABELED * (1 + _RATIO)
    batches = [
        (
            torch.rand(images, 3, 224, 224).to(memory_format=torch.channels_last),
            torch.from_numpy(rng.dirichlet(np.ones(len(CLASSES)), images).astype(np.float32)),
        )
        for _ in range(4)
    ]
    started_at = time.perf_counter()
    for step in range(_STEPS):
        inputs, targets = batches[step % len(batches)]
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - started_at) / _STEPS


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps({"stage": _stage, "plain": _plain}[sys.argv[1]]()))
    else:
        main()
