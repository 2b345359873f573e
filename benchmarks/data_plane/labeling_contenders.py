"""The contenders of the labeling benchmark: each labels the same shards, or measures a part of the ceiling.

`python -m benchmarks.data_plane.labeling_contenders CONTENDER MODEL [SHARDS]` runs one of them and prints its figures
as JSON.
"""

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.support.photographs import benchmark_folder
from benchmarks.support.two_cores import CORES
from workers.specs.stages import ActorPool, LabelSpec, PredictSpec

FOLDER = benchmark_folder("labeling")
SIZE = 224
MODELS = {
    "heavy": ("resnet50", 60, 16, 16),
    "light": ("mobilenetv3_small_050", 60, 225, 64),
    "gpu": ("resnet50", 160, 225, 256),
}
"""By weight: the timm model, the number of shards, the rows of a shard, and the pictures of a forward pass."""


def _images(weight: str, most: int) -> list[bytes]:
    shards = sorted((FOLDER / weight).glob("*.parquet"))
    images = [image for shard in shards[: 1 + most // 16] for image in pq.read_table(shard)["image"].to_pylist()]
    return images[:most]


def _in_processes(function: Callable[[str], float], weight: str, count: int) -> dict[str, float]:
    with ProcessPoolExecutor(count, get_context("spawn")) as processes:
        list(processes.map(_warm, range(count)))
        return {"rate": sum(processes.map(function, [weight] * count))}


def _warm(number: int) -> None:
    import workers.models.predictor  # noqa: F401

    time.sleep(1.0)


def _bare_forward(weight: str) -> float:
    from workers.models.predictor import Predictor

    return _forward_rate(weight, Predictor(str(FOLDER / f"model-{weight}"), cpus=1).model, MODELS[weight][3])


def _frozen_forward(weight: str) -> float:
    from workers.models.predictor import Predictor
    from workers.models.torchscript import frozen

    model = Predictor(str(FOLDER / f"model-{weight}"), cpus=1).model
    return _forward_rate(weight, frozen(model, SIZE), 16)


def _gpu_forward(weight: str) -> float:
    import torch

    from workers.models.predictor import Predictor

    model, batch = Predictor(str(FOLDER / f"model-{weight}")).model, MODELS[weight][3]
    pixels = torch.rand(batch, 3, SIZE, SIZE, device="cuda").to(memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        for timed in (False, True):
            started_at = time.perf_counter()
            for _ in range(100 if timed else 10):
                model(pixels)
            torch.cuda.synchronize()
    return 100 * batch / (time.perf_counter() - started_at)


def _forward_rate(weight: str, model: Any, batch: int) -> float:
    import torch

    pixels = torch.rand(batch, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    rounds = (64 if weight == "heavy" else 1280) // batch
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        model(pixels)
        started_at = time.perf_counter()
        for _ in range(rounds):
            model(pixels)
    return rounds * batch / (time.perf_counter() - started_at)


def _bare_decode(weight: str) -> float:
    import torch

    from workers.data.images.clean import prepare_clean
    from workers.data.images.decode import decode_rgb
    from workers.models.fast_jpeg import decode_fast, prepare_fast
    from workers.models.files import load_model

    torch.set_num_threads(1)
    card = load_model(str(FOLDER / f"model-{weight}"))[1]
    images = _images(weight, 200) * (2 if weight == "heavy" else 8)
    started_at = time.perf_counter()
    for image in images:
        picture = decode_fast(image, card)
        if picture is None:
            prepare_clean(decode_rgb(image), card)
        else:
            prepare_fast(picture, card)
    return len(images) / (time.perf_counter() - started_at)


def _ours(weight: str, shards: int | None = None) -> dict[str, float]:
    from workers.labeling.stage import run_label
    from workers.runtime.stage_reporter import StageReporter

    spec = LabelSpec.model_validate(_on_the_pool(weight, shards) | {"generation": 1})
    started_at = time.perf_counter()
    result = run_label(spec, StageReporter(spec, entered_at=time.time()))
    return _rates(spec, result.images, result.shards, started_at)


def _predict(weight: str, shards: int | None = None) -> dict[str, float]:
    from workers.prediction.stage import run_predict
    from workers.runtime.stage_reporter import StageReporter

    spec = PredictSpec.model_validate(_on_the_pool(weight, shards) | {"generation": 0, "model_id": "benchmark-g0"})
    started_at = time.perf_counter()
    outcome = run_predict(spec, StageReporter(spec, entered_at=time.time())).outcome
    return _rates(spec, outcome.images, outcome.shards, started_at)


def _on_the_pool(weight: str, shards: int | None) -> dict[str, Any]:
    """The fields of a spec over the pool, or its first shards. Starts Ray."""
    import ray

    cpus = len(os.sched_getaffinity(0))
    ray.init("local", num_cpus=2 * cpus, include_dashboard=False, logging_level=logging.ERROR)
    manifest = json.loads((FOLDER / weight / "manifest.json").read_text(encoding="utf-8"))
    if shards is not None:
        manifest["shards"] = manifest["shards"][:shards]
        manifest["rows"] = sum(each["rows"] for each in manifest["shards"])
    folder = (FOLDER / "out").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return {
        "run_id": "benchmark",
        "attempt": 1,
        "folder_uri": str(folder),
        "seed": 0,
        "model_uri": str((FOLDER / f"model-{weight}").resolve()),
        "manifest_uri": str(folder / "manifest.json"),
        "batch_size": MODELS[weight][3],
        "pool": ActorPool(min_actors=1, max_actors=1, cpus_per_actor=float(cpus), gpus_per_actor=1.0)
        if weight == "gpu"
        else ActorPool(min_actors=CORES, max_actors=CORES, cpus_per_actor=1.0),
    }


def _rates(spec: LabelSpec | PredictSpec, images: int, shards: int, started_at: float) -> dict[str, float]:
    whole_rate = images / (time.perf_counter() - started_at)
    return {"rate": _steady_rate(Path(spec.folder_uri), images / shards), "whole_rate": whole_rate}


def _steady_rate(folder: Path, rows_per_shard: float) -> float:
    """Images per second while all actors work: about from the last actor's first file to the first actor's last."""
    written_at = sorted(path.stat().st_mtime for path in folder.glob("part-*.parquet"))
    if len(written_at) <= 4 * CORES:
        return float("nan")  # the memory rows need no rate
    first, last = written_at[2 * CORES - 1], written_at[-CORES - 1]
    return (len(written_at) - 3 * CORES) * rows_per_shard / (last - first)


class _DocsModel:
    """The model class from the batch inference page of Ray's documentation."""

    def __init__(self, weight: str) -> None:
        import torch

        from workers.models.files import load_model

        torch.set_num_threads(1)
        self._model = load_model(str(FOLDER.resolve() / f"model-{weight}"))[0].eval()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        with torch.inference_mode():
            probabilities = self._model(torch.from_numpy(np.stack(list(batch["image"])))).softmax(1)
        confidence, label = probabilities.max(1)
        return {"label": label.numpy(), "confidence": confidence.numpy()}


def _ray_docs(weight: str) -> dict[str, float]:
    """Labels by read_parquet, map, map_batches, write_parquet (docs.ray.io, "End-to-end: Offline Batch Inference")."""
    import ray

    ray.init("local", num_cpus=2 * CORES, include_dashboard=False, logging_level=logging.ERROR)
    transform = _timm_transform()

    def decoded(each: dict[str, Any]) -> dict[str, Any]:
        return {"image": transform(each["image"]).numpy()}

    started_at = time.perf_counter()
    data = ray.data.read_parquet([str(path.resolve()) for path in sorted((FOLDER / weight).glob("*.parquet"))])
    data.map(decoded).map_batches(
        _DocsModel,
        fn_constructor_args=(weight,),
        batch_size=MODELS[weight][3],
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=CORES),
    ).write_parquet(str((FOLDER / "out").resolve()))
    return {"rate": _number_of_images(weight) / (time.perf_counter() - started_at)}


def _dataloader(weight: str) -> dict[str, float]:
    """Labels with a torch Dataset of the shards: timm's evaluation transform in two processes, the model in this."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    from workers.models.files import load_model

    class Photographs(Dataset[Any]):
        def __init__(self) -> None:
            shards = sorted((FOLDER / weight).glob("*.parquet"))
            self._images = [image for shard in shards for image in pq.read_table(shard)["image"].to_pylist()]
            self._transform = _timm_transform()

        def __len__(self) -> int:
            return len(self._images)

        def __getitem__(self, index: int) -> Any:
            return self._transform(self._images[index])

    torch.set_num_threads(CORES)
    model = load_model(str(FOLDER / f"model-{weight}"))[0].eval().to(memory_format=torch.channels_last)
    started_at = time.perf_counter()
    labels, confidences = [], []
    with torch.inference_mode():
        for batch in DataLoader(Photographs(), batch_size=MODELS[weight][3], num_workers=CORES):
            confidence, label = model(batch.to(memory_format=torch.channels_last)).softmax(1).max(1)
            labels.append(label.numpy())
            confidences.append(confidence.numpy())
    FOLDER.joinpath("out").mkdir(exist_ok=True)
    table = pa.table({"label": np.concatenate(labels), "confidence": np.concatenate(confidences)})
    pq.write_table(table, FOLDER / "out" / "labels.parquet")
    return {"rate": _number_of_images(weight) / (time.perf_counter() - started_at)}


def _timm_transform() -> Callable[[bytes], Any]:
    import io

    from PIL import Image
    from timm.data.transforms_factory import create_transform

    transform = create_transform(SIZE, is_training=False, crop_pct=0.875, interpolation="bicubic")
    return lambda data: transform(Image.open(io.BytesIO(data)).convert("RGB"))


def _number_of_images(weight: str) -> int:
    return MODELS[weight][1] * MODELS[weight][2]


def _one(contender: str, weight: str, shards: int | None) -> dict[str, float]:
    if contender == "ours":
        return _ours(weight, shards)
    if contender == "predict":
        return _predict(weight, shards)
    if contender == "ray_docs":
        return _ray_docs(weight)
    if contender == "dataloader":
        return _dataloader(weight)
    if contender == "gpu_forward":
        return {"rate": _gpu_forward(weight)}
    if contender == "gpu_decode":
        return _in_processes(_bare_decode, weight, len(os.sched_getaffinity(0)))
    bare = {"forward": _bare_forward, "frozen_forward": _frozen_forward, "decode": _bare_decode}[contender]
    return _in_processes(bare, weight, CORES)


if __name__ == "__main__":
    print(json.dumps(_one(sys.argv[1], sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else None)))
