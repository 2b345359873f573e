"""What the internals of torch, timm and Ray save at the start of a train stage and of each process.

    python -m benchmarks.data_plane.library_internals --repeats 3

Measurements with and without them alternate on this machine. Decision 23 draws the conclusions.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.results import row, save
from benchmarks.support.private_ray import PrivateRay
from benchmarks.support.stage_job import StageJob
from workers.runtime.internals import internals_environment
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.internals import LibraryInternals
from workers.specs.recipe import Recipe
from workers.specs.stages import TrainSpec
from workers.specs.worker_group import WorkerGroup

COMMAND = "python -m benchmarks.data_plane.library_internals"
_TIMEOUT_SECONDS = 120
_CLASSES = ("even", "odd")
_IMAGES = 64

WITH = LibraryInternals()
STAGES = {
    "with": WITH,
    "without_ray": LibraryInternals(ray_train_controller=False),
    "without": LibraryInternals(torch_dynamo=False, timm_imports=False, ray_train_controller=False),
}
_STEP = """
import torch
from workers.training.lean_torch import put_off_dynamo
put_off_dynamo()
layer = torch.nn.Linear(4, 2)
optimizer = torch.optim.AdamW(layer.parameters())
layer(torch.ones(3, 4)).sum().backward()
optimizer.step()
"""
_MODEL = """
from workers.models.create import create_model
create_model("test_resnet", 3, 28, 0.1, 0.1)
"""
PROCESSES: Mapping[str, tuple[str, LibraryInternals]] = {
    "torch_step.with": (_STEP, WITH),
    "torch_step.without": (_STEP, LibraryInternals(torch_dynamo=False)),
    "timm_model.with": (_MODEL, WITH),
    "timm_model.without": (_MODEL, LibraryInternals(timm_imports=False)),
}


def main() -> None:
    """Measures, prints and saves the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        for name, (code, internals) in PROCESSES.items():
            seconds[f"internals.{name}_cpu_seconds"].append(cpu_seconds(code, internals))
    with TemporaryDirectory() as folder, PrivateRay(num_cpus=2) as ray:
        manifest = _write_images(Path(folder))
        for repeat in range(repeats):
            for name, internals in STAGES.items():
                spec = _spec(Path(folder) / f"{name}-{repeat}", manifest, internals)
                seconds[f"internals.train_start.{name}_seconds"].append(start_seconds(spec, ray))
    rows = [row(name, values, "s", _rival(name), COMMAND) for name, values in seconds.items()]
    for each in rows:
        print(f"{each['name']:45} {each['value']:7.2f} +- {each['spread']}")
    save(rows)


def cpu_seconds(code: str, internals: LibraryInternals) -> float:
    """User plus system seconds of a Python process that runs `code`, which do not depend on the machine's load."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, **internals_environment(internals)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=_TIMEOUT_SECONDS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start_seconds(spec: TrainSpec, ray: PrivateRay) -> float:
    """Wall seconds of a train stage that are overhead: its process, its imports, its workers, its end."""
    started_at = time.time()
    with closing(StageJob(spec, "model.safetensors", ray)) as job:
        job.start_attempt()
        timing = job.wait().timing
    return time.time() - started_at - (timing.work_ended_at - timing.work_started_at)


def _rival(name: str) -> str:
    return "the documented way" if name.endswith(("with_cpu_seconds", "with_seconds")) else "with the internals"


def _spec(folder: Path, manifest: str, internals: LibraryInternals) -> TrainSpec:
    return TrainSpec(
        run_id="run-1",
        generation=0,
        attempt=1,
        folder_uri=str(folder),
        seed=1,
        model="test_resnet",
        classes=_CLASSES,
        recipe=Recipe(image_size=28, crop="none", steps=4, batch_size=8, unlabeled_ratio=0),
        labeled_manifest_uri=manifest,
        validation_manifest_uri=manifest,
        workers=WorkerGroup(num_workers=2),
        internals=internals,
    )


def _write_images(folder: Path) -> str:
    """Writes small labeled pictures of noise, and returns the URI of their manifest."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(_IMAGES):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (28, 28, 3), dtype=np.uint8)).save(buffer, "PNG")
        images.append(buffer.getvalue())
    labels = [_CLASSES[number % 2] for number in range(_IMAGES)]
    pq.write_table(pa.table({"image": images, "label": labels}), folder / "0.parquet")
    manifest = DatasetManifest(
        dataset_id="ds-noise",
        role="labeled",
        format="parquet",
        classes=_CLASSES,
        label_column="label",
        rows=_IMAGES,
        shards=(Shard(uri=str(folder / "0.parquet"), rows=_IMAGES),),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return str(folder / "manifest.json")


if __name__ == "__main__":
    main()
