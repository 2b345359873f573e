"""Labeling beside what the machine can do, the documentation's Ray Data pipeline, and a torch DataLoader loop.

Photographs in JPEG, 224 pixels, a heavy model (ResNet-50) and a light one. Every contender starts in a new Python,
in turns, on two cores, reads the same Parquet shards and writes labels to Parquet. The ceiling is 1 / (1 / forward +
1 / decode): both take the same cores. Each of them is measured by itself, in two processes of one thread: timm's model
as it is, and once more with its batch norms folded, as labeling does it. Where there is a GPU it has rows of its own:
beside it decoding has all cores, and the ceiling is the slower of the two.

`of_ceiling` counts label files while all actors are at work, by the times at which they were written;
`of_ceiling_whole_stage` counts everything, the starting of the actors too. The rivals are compared by whole time: from
a Ray that has started, or a Python that has imported torch, to the last file.
"""

import json
import os
import shutil
import subprocess
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

from benchmarks.photographs import benchmark_folder, write_photograph_shards
from benchmarks.process_memory import peak_mib_while
from benchmarks.results import row, save
from benchmarks.two_cores import CORES, hold_to_two_cores
from workers.specs.model_card import ModelCard
from workers.specs.stages import ActorPool, LabelSpec

FOLDER = benchmark_folder("labeling")
ROUNDS = 3
_SIZE = 224
_MODELS = {
    "heavy": ("resnet50", 40, 16, 16),
    "light": ("mobilenetv3_small_050", 40, 225, 64),
    "gpu": ("resnet50", 160, 225, 256),
}
"""timm model, shards, rows of a shard, pictures of a forward pass."""
_CONTENDERS = ("forward", "frozen_forward", "decode", "ours", "ray_docs", "dataloader")
_GPU_CONTENDERS = ("gpu_forward", "gpu_decode", "ours")
_COMMAND = "make benchmark-labeling"


def main() -> None:
    """All rounds of both models, and the memory of ten times the shards."""
    import torch

    rows: list[dict[str, Any]] = []
    if torch.cuda.is_available():
        _prepare("gpu")
        rows += _gpu_rows([{name: _run(name, "gpu") for name in _GPU_CONTENDERS} for _ in range(ROUNDS)])
    hold_to_two_cores()
    for weight in ("heavy", "light"):
        _prepare(weight)
        rounds = [{name: _run(name, weight) for name in _CONTENDERS} for _ in range(ROUNDS)]
        rows += _rows(weight, rounds)
    rows.append(_memory_row())
    save(rows)


def _rows(weight: str, rounds: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    def ratios(of: Callable[[dict[str, dict[str, float]]], float]) -> list[float]:
        return [of(each) for each in rounds]

    def ceiling(each: dict[str, dict[str, float]], forward: str = "forward") -> float:
        return 1 / (1 / each[forward]["rate"] + 1 / each["decode"]["rate"])

    name = f"labeling.{weight}"
    model = _MODELS[weight][0]
    return [
        row(f"{name}.images_per_second", ratios(lambda r: r["ours"]["rate"]), f"images/s, {model}", "", _COMMAND),
        row(f"{name}.of_ceiling", ratios(lambda r: r["ours"]["rate"] / ceiling(r)), "ratio", "ceiling", _COMMAND),
        row(
            f"{name}.of_frozen_ceiling",
            ratios(lambda r: r["ours"]["rate"] / ceiling(r, "frozen_forward")),
            "ratio, the forward pass with batch norms folded as ours",
            "ceiling",
            _COMMAND,
        ),
        row(
            f"{name}.of_ceiling_whole_stage",
            ratios(lambda r: r["ours"]["whole_rate"] / ceiling(r)),
            "ratio, starting the actors included",
            "ceiling",
            _COMMAND,
        ),
        row(
            f"{name}.vs_ray_docs",
            ratios(lambda r: r["ours"]["whole_rate"] / r["ray_docs"]["rate"]),
            "ratio",
            "Ray Data's documented pipeline",
            _COMMAND,
        ),
        row(
            f"{name}.vs_dataloader",
            ratios(lambda r: r["ours"]["whole_rate"] / r["dataloader"]["rate"]),
            "ratio",
            "torch DataLoader with timm's transform",
            _COMMAND,
        ),
        row(
            f"{name}.vs_dataloader_steady",
            ratios(lambda r: r["ours"]["rate"] / r["dataloader"]["rate"]),
            "ratio, without starting the actors",
            "torch DataLoader with timm's transform",
            _COMMAND,
        ),
    ]


def _gpu_rows(rounds: list[dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Beside a GPU decoding has cores of its own: the ceiling is the slower of the two."""
    ours, forward, decode = ([each[name]["rate"] for each in rounds] for name in ("ours", "gpu_forward", "gpu_decode"))
    bound = f"bounded by {'decoding' if sum(decode) < sum(forward) else 'the model'}"
    of_ceiling = [rate / min(bounds) for rate, *bounds in zip(ours, forward, decode, strict=True)]
    return [
        row("labeling.gpu.images_per_second", ours, f"images/s, resnet50, {bound}", "", _COMMAND),
        row("labeling.gpu.of_ceiling", of_ceiling, f"ratio, {bound}", "ceiling", _COMMAND),
    ]


def _memory_row() -> dict[str, Any]:
    """Peak memory of labeling 10 x the shards over that of 1 x, light model, three times."""
    growth = []
    for _ in range(ROUNDS):
        peaks = []
        for shards in (4, 40):
            process = subprocess.Popen([sys.executable, "-m", "benchmarks.labeling", "ours", "light", str(shards)])
            peaks.append(peak_mib_while(process))
        growth.append(peaks[1] / peaks[0])
    return row("labeling.memory_growth_10x", growth, "peak memory of 40 shards / of 4", "1.0", _COMMAND)


def _prepare(weight: str) -> None:
    from workers.models.create import create_model
    from workers.models.files import write_model

    model, shards, rows, _ = _MODELS[weight]
    write_photograph_shards(FOLDER / weight, shards, rows)
    card = ModelCard(
        model=model, classes=tuple(map(str, range(1000))), image_size=_SIZE, mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225), crop="center", parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(FOLDER / f"model-{weight}"), create_model(model, 1000, _SIZE, 0.0, 0.0).state_dict(), card)


def _run(contender: str, weight: str) -> dict[str, float]:
    shutil.rmtree(FOLDER / "out", ignore_errors=True)
    with (FOLDER / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.labeling", contender, weight],
            check=False,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"},
        )
    if done.returncode:
        raise SystemExit(f"{weight} {contender} failed:\n{(FOLDER / 'log').read_text(errors='replace')[-3000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(weight, contender, {name: round(value, 1) for name, value in figures.items()}, flush=True)
    return figures


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

    return _forward_rate(weight, Predictor(str(FOLDER / f"model-{weight}"), cpus=1).model, _MODELS[weight][3])


def _frozen_forward(weight: str) -> float:
    from workers.models.frozen import frozen
    from workers.models.predictor import Predictor

    model = Predictor(str(FOLDER / f"model-{weight}"), cpus=1).model
    return _forward_rate(weight, frozen(model, _SIZE), 16)


def _gpu_forward(weight: str) -> float:
    import torch

    from workers.models.predictor import Predictor

    model, batch = Predictor(str(FOLDER / f"model-{weight}")).model, _MODELS[weight][3]
    pixels = torch.rand(batch, 3, _SIZE, _SIZE, device="cuda").to(memory_format=torch.channels_last)
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

    pixels = torch.rand(batch, 3, _SIZE, _SIZE).to(memory_format=torch.channels_last)
    rounds = (64 if weight == "heavy" else 1280) // batch
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        model(pixels)
        started_at = time.perf_counter()
        for _ in range(rounds):
            model(pixels)
    return rounds * batch / (time.perf_counter() - started_at)


def _bare_decode(weight: str) -> float:
    import torch

    from workers.data.clean import prepare_clean
    from workers.data.images import decode_rgb
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
    import ray

    from workers.labeling.stage import run_label
    from workers.stage_reporter import StageReporter

    cpus = len(os.sched_getaffinity(0))
    ray.init("local", num_cpus=2 * cpus, include_dashboard=False, logging_level="ERROR")
    manifest = json.loads((FOLDER / weight / "manifest.json").read_text(encoding="utf-8"))
    if shards is not None:
        manifest["shards"] = manifest["shards"][:shards]
        manifest["rows"] = sum(each["rows"] for each in manifest["shards"])
    folder = (FOLDER / "out").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    spec = LabelSpec(
        run_id="benchmark",
        generation=1,
        attempt=1,
        folder_uri=str(folder),
        seed=0,
        model_uri=str((FOLDER / f"model-{weight}").resolve()),
        manifest_uri=str(folder / "manifest.json"),
        batch_size=_MODELS[weight][3],
        pool=ActorPool(min_actors=1, max_actors=1, cpus_per_actor=float(cpus), gpus_per_actor=1.0)
        if weight == "gpu"
        else ActorPool(min_actors=CORES, max_actors=CORES, cpus_per_actor=1.0),
    )
    started_at = time.perf_counter()
    result = run_label(spec, StageReporter(spec, entered_at=time.time()))
    whole_rate = result.images / (time.perf_counter() - started_at)
    return {"rate": _steady_rate(folder, result.images / result.shards), "whole_rate": whole_rate}


def _steady_rate(folder: Path, rows_per_shard: float) -> float:
    """Images a second from the last actor's first label file to the first one's last, or nearly so."""
    written_at = sorted(path.stat().st_mtime for path in folder.glob("part-*.parquet"))
    if len(written_at) <= 4 * CORES:
        return float("nan")  # the memory rows look at no rate
    first, last = written_at[2 * CORES - 1], written_at[-CORES - 1]
    return (len(written_at) - 3 * CORES) * rows_per_shard / (last - first)


class _DocsModel:
    """The class of the documentation's batch inference page."""

    def __init__(self, weight: str) -> None:
        import torch

        from workers.models.files import load_model

        torch.set_num_threads(1)
        self._model = load_model(str(FOLDER.resolve() / f"model-{weight}"))[0].eval()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        with torch.inference_mode():
            probabilities = self._model(torch.from_numpy(np.stack(batch["image"]))).softmax(1)
        confidence, label = probabilities.max(1)
        return {"label": label.numpy(), "confidence": confidence.numpy()}


def _ray_docs(weight: str) -> dict[str, float]:
    """read_parquet, map, map_batches, write_parquet (docs.ray.io, "End-to-end: Offline Batch Inference")."""
    import ray

    ray.init("local", num_cpus=2 * CORES, include_dashboard=False, logging_level="ERROR")
    transform = _timm_transform()

    def decoded(each: dict[str, Any]) -> dict[str, Any]:
        return {"image": transform(each["image"]).numpy()}

    started_at = time.perf_counter()
    data = ray.data.read_parquet([str(path.resolve()) for path in sorted((FOLDER / weight).glob("*.parquet"))])
    data.map(decoded).map_batches(
        _DocsModel,
        fn_constructor_args=(weight,),
        batch_size=_MODELS[weight][3],
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=CORES),
    ).write_parquet(str((FOLDER / "out").resolve()))
    return {"rate": _number_of_images(weight) / (time.perf_counter() - started_at)}


def _dataloader(weight: str) -> dict[str, float]:
    """A Dataset that reads the shards, timm's evaluation transform in two processes, the model in this one."""
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
        for batch in DataLoader(Photographs(), batch_size=_MODELS[weight][3], num_workers=CORES):
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
    from timm.data import create_transform

    transform = create_transform(_SIZE, is_training=False, crop_pct=0.875, interpolation="bicubic")
    return lambda data: transform(Image.open(io.BytesIO(data)).convert("RGB"))


def _number_of_images(weight: str) -> int:
    return _MODELS[weight][1] * _MODELS[weight][2]


def _one(contender: str, weight: str, shards: int | None) -> dict[str, float]:
    if contender == "ours":
        return _ours(weight, shards)
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
    if sys.argv[1:]:
        print(json.dumps(_one(sys.argv[1], sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else None)))
    else:
        main()
