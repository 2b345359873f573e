"""Labeling, compared with the machine's ceiling, the Ray Data pipeline of Ray's documentation, and a torch DataLoader.

The input is JPEG photographs at 224 pixels, for a heavy model (ResNet-50) and a light one. The contenders take turns on
two cores, each in a new Python process, read the same Parquet shards and write labels to Parquet. The ceiling is 1 / (1
/ forward + 1 / decode), because both use the same cores. Each of the two is measured separately, in two processes of
one thread: timm's model as it is, and with its batch norms folded, as labeling does. With a GPU there are additional
rows: then decoding has all cores, and the ceiling is the slower of the two.

`of_ceiling` counts label files while all actors are at work, by the times at which they were written.
`of_ceiling_whole_stage` counts everything, including the start of the actors. The rivals are compared by total time:
from a started Ray, or a Python that has imported torch, to the last file.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from benchmarks.data_plane.labeling_contenders import FOLDER, MODELS, SIZE
from benchmarks.results import ResultRow, row, save
from benchmarks.support.photographs import write_photograph_shards
from benchmarks.support.process_memory import peak_mib_while
from benchmarks.support.two_cores import hold_to_two_cores
from workers.specs.model_card import ModelCard

ROUNDS = 3
_CONTENDERS = ("forward", "frozen_forward", "decode", "ours", "ray_docs", "dataloader")
_GPU_CONTENDERS = ("gpu_forward", "gpu_decode", "ours")
_COMMAND = "make benchmark-labeling"


def main() -> None:
    """Measures all rounds of both models, and the memory for ten times as many shards."""
    import torch

    rows: list[ResultRow] = []
    if torch.cuda.is_available():
        prepare("gpu")
        rows += _gpu_rows([{name: run(name, "gpu") for name in _GPU_CONTENDERS} for _ in range(ROUNDS)])
    hold_to_two_cores()
    for weight in ("heavy", "light"):
        prepare(weight)
        rounds = [{name: run(name, weight) for name in _CONTENDERS} for _ in range(ROUNDS)]
        rows += _rows(weight, rounds)
    rows.append(_memory_row())
    save(rows)


def _rows(weight: str, rounds: list[dict[str, dict[str, float]]]) -> list[ResultRow]:
    def ratios(of: Callable[[dict[str, dict[str, float]]], float]) -> list[float]:
        return [of(each) for each in rounds]

    def ceiling(each: dict[str, dict[str, float]], forward: str = "forward") -> float:
        return 1 / (1 / each[forward]["rate"] + 1 / each["decode"]["rate"])

    name = f"labeling.{weight}"
    model = MODELS[weight][0]
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


def _gpu_rows(rounds: list[dict[str, dict[str, float]]]) -> list[ResultRow]:
    """The rows with a GPU. Decoding then has the cores to itself, so the ceiling is the slower of the two."""
    ours, forward, decode = ([each[name]["rate"] for each in rounds] for name in ("ours", "gpu_forward", "gpu_decode"))
    bound = f"bounded by {'decoding' if sum(decode) < sum(forward) else 'the model'}"
    of_ceiling = [rate / min(bounds) for rate, *bounds in zip(ours, forward, decode, strict=True)]
    return [
        row("labeling.gpu.images_per_second", ours, f"images/s, resnet50, {bound}", "", _COMMAND),
        row("labeling.gpu.of_ceiling", of_ceiling, f"ratio, {bound}", "ceiling", _COMMAND),
    ]


def _memory_row() -> ResultRow:
    """The peak memory of labeling 10 x the shards, relative to 1 x, with the light model, three times."""
    growth = []
    for _ in range(ROUNDS):
        peaks = []
        for shards in (4, 40):
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.data_plane.labeling_contenders", "ours", "light", str(shards)]
            )
            peaks.append(peak_mib_while(process))
        growth.append(peaks[1] / peaks[0])
    return row("labeling.memory_growth_10x", growth, "peak memory of 40 shards / of 4", "1.0", _COMMAND)


def prepare(weight: str) -> None:
    """Writes the photographs and the model of a weight."""
    from workers.models.create import create_model
    from workers.models.files import write_model

    model, shards, rows, _ = MODELS[weight]
    write_photograph_shards(FOLDER / weight, shards, rows)
    card = ModelCard(
        model=model, classes=tuple(map(str, range(1000))), image_size=SIZE, mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225), crop="center", parameters=1, run_id="r", generation=0, validation_top1=0.0,
    )  # fmt: skip
    write_model(str(FOLDER / f"model-{weight}"), create_model(model, 1000, SIZE, 0.0, 0.0).state_dict(), card)


def run(contender: str, weight: str) -> dict[str, float]:
    """Runs a contender in a process of its own, and returns its figures."""
    shutil.rmtree(FOLDER / "out", ignore_errors=True)
    with (FOLDER / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.data_plane.labeling_contenders", contender, weight],
            check=False,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"},
        )
    if done.returncode:
        raise SystemExit(f"{weight} {contender} failed:\n{(FOLDER / 'log').read_text(errors='replace')[-3000:]}")
    # Ray writes to standard output too, for example when it ends.
    figures: dict[str, float] = json.loads([line for line in done.stdout.splitlines() if line.startswith(b"{")][-1])
    print(weight, contender, {name: round(value, 1) for name, value in figures.items()}, flush=True)
    return figures


if __name__ == "__main__":
    main()
