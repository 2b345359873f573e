"""How much better the last student is than its teacher, an equal-compute rival, and students without noise.

A seed draws the split of the digits and trains, over REST on a private local stack:
  - noisy: the demo's run, a teacher and three students;
  - without_noise: the same without the students' noise (same split; the same seed gives the same teacher);
  - equal_compute: labeled images only, the teacher's recipe, as many image-steps as the whole demo run.
Each train stage has one worker of one core here (the demo has two), so that two runs work at the same time and no core
waits for another. Test accuracies come from the evaluate stages. build/benchmark-accuracy keeps finished runs, so an
interrupted benchmark can continue. No hyperparameter was chosen on test images: the recipe was chosen on the validation
images of another seed (101).
"""

import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.results import ResultRow, row, save
from noisy_student.client import Client
from noisy_student.local.demo.run import demo_run_config, register_digits
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView

FOLDER = Path("build/benchmark-accuracy")
COMMAND = "make benchmark-accuracy"
VARIANTS = ("noisy", "equal_compute", "without_noise")
_RUNS_AT_ONCE = 2
# One core per run for its workers, and one so that Ray Data's own tasks never wait.
_RAY_CPUS = _RUNS_AT_ONCE + 1
_NO_NOISE = {"rand_augment": None, "dropout": 0.0, "drop_path": 0.0}
_ONE_WORKER = {"num_workers": 1, "cpus_per_worker": 1}
_POLL_SECONDS = 1.0


def main() -> None:
    """Runs what is missing of the seeds on the command line, then writes the rows over all seeds."""
    seeds = [int(argument) for argument in sys.argv[1:]]
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [(seed, variant) for seed in seeds for variant in VARIANTS if not _path(seed, variant).exists()]
    if missing:
        home = FOLDER / "stack"
        shutil.rmtree(home, ignore_errors=True)
        with LocalStack(home, num_cpus=_RAY_CPUS) as stack, Client(stack.api_url) as client:
            datasets = {
                seed: register_digits(client, FOLDER / f"data-{seed}", seed) for seed in {s for s, _ in missing}
            }
            with ThreadPoolExecutor(_RUNS_AT_ONCE) as lanes:
                for job in [lanes.submit(_run, stack.api_url, datasets[seed], seed, name) for seed, name in missing]:
                    job.result()
    save(rows([{variant: json.loads(_path(seed, variant).read_text()) for variant in VARIANTS} for seed in seeds]))


def run_config(variant: str, datasets: dict[str, str], seed: int) -> dict[str, Any]:
    """The body of POST /runs for one variant and seed."""
    config = demo_run_config()
    config = {
        **config,
        "name": f"seed {seed}, {variant.replace('_', ' ')}",
        "datasets": datasets,
        "seed": seed,
        "resources": {**config["resources"], "train": _ONE_WORKER},
    }
    if variant == "without_noise":
        return {**config, "student_recipe": {**config["student_recipe"], "noise": _NO_NOISE}}
    if variant == "equal_compute":
        recipe = {**config["teacher_recipe"], "steps": equal_compute_steps(config)}
        return {**config, "generations": 0, "student_models": [], "teacher_recipe": recipe}
    return config


def _run(api_url: str, datasets: dict[str, str], seed: int, variant: str) -> None:
    """Takes one run to its end, and saves its test accuracies, one per generation."""
    with Client(api_url) as client:
        run = client.runs.create(run_config(variant, datasets, seed))
        while run.state == "running":
            time.sleep(_POLL_SECONDS)
            run = client.runs.get(run.id)
    if run.state != "succeeded":
        raise RuntimeError(f"run {run.id} ended {run.state}: {run.state_reason}")
    accuracies = _accuracies(run)
    _path(seed, variant).write_text(json.dumps(accuracies) + "\n", encoding="utf-8")
    print(f"{run.name}: {', '.join(f'{accuracy:.4f}' for accuracy in accuracies)}", flush=True)


def equal_compute_steps(config: dict[str, Any]) -> int:
    """How many steps with the teacher's batch size see as many images as the teacher and all students together."""
    teacher, student = config["teacher_recipe"], config["student_recipe"]
    student_images = student["steps"] * student["batch_size"] * (1 + student["unlabeled_ratio"])
    images: float = teacher["steps"] * teacher["batch_size"] + config["generations"] * student_images
    return round(images / float(teacher["batch_size"]))


def rows(seeds: list[dict[str, list[float]]]) -> list[ResultRow]:
    """The rows over all seeds. Each seed has test accuracies by variant, one per generation."""
    teachers = [seed["noisy"][0] for seed in seeds]
    students = [seed["noisy"][-1] for seed in seeds]
    rivals = [seed["equal_compute"][0] for seed in seeds]
    plain = [seed["without_noise"] for seed in seeds]
    return [
        row("accuracy.teacher", teachers, "test accuracy", "", COMMAND),
        row("accuracy.last_student", students, "test accuracy", "accuracy.teacher", COMMAND),
        row("accuracy.equal_compute", rivals, "test accuracy", "accuracy.last_student", COMMAND),
        row("accuracy.last_student_without_noise", [run[-1] for run in plain], "test accuracy", "", COMMAND),
        row(
            "accuracy.error_reduction",
            [reduction(*pair) for pair in zip(teachers, students, strict=True)],
            "share of the rival's test errors",
            "the converged teacher",
            COMMAND,
        ),
        row(
            "accuracy.error_reduction_vs_equal_compute",
            [reduction(*pair) for pair in zip(rivals, students, strict=True)],
            "share of the rival's test errors",
            "labeled only, as many image-steps as the whole run",
            COMMAND,
        ),
        row(
            "accuracy.error_reduction_without_noise",
            [reduction(run[0], run[-1]) for run in plain],
            "share of the rival's test errors",
            "the converged teacher; students without noise",
            COMMAND,
        ),
    ]


def reduction(rival: float, accuracy: float) -> float:
    """By what share there are fewer errors than the rival's."""
    return 1 - (1 - accuracy) / (1 - rival)


def _accuracies(run: RunView) -> list[float]:
    accuracies = [generation.model.test_top1 for generation in run.generation_details if generation.model]
    return [accuracy for accuracy in accuracies if accuracy is not None]


def _path(seed: int, variant: str) -> Path:
    return FOLDER / f"seed-{seed}-{variant}.json"


if __name__ == "__main__":
    main()
