"""How much better the last student is: against its teacher, an equal-compute rival, and students without noise.

A seed draws the split of the digits and trains, over REST on a private local stack:
  - the demo's run: teacher and three students;
  - the same with the students' noise taken off (same split, same teacher: training is deterministic by seed);
  - the rival: labeled images only, the teacher's recipe, as many image-steps as the whole demo run.
Test accuracies are read from the evaluate stages. Finished seeds are kept in build/benchmark-accuracy, so that an
interrupted benchmark goes on. No hyperparameter was chosen on test images: the recipe was chosen on the validation
images of another seed (101).
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from api.cli.client import Client
from api.cli.demo import demo_run_config, post_digits_run
from api.cli.local_stack import LocalStack
from benchmarks.results import row, save
from service.views import RunView

FOLDER = Path("build/benchmark-accuracy")
COMMAND = "make benchmark-accuracy"
NO_NOISE = {"rand_augment": None, "dropout": 0.0, "drop_path": 0.0}
_POLL_SECONDS = 1.0


def main() -> None:
    """Runs the seeds named on the command line that have not been run, then writes the rows of all that have."""
    seeds = [int(argument) for argument in sys.argv[1:]]
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not _seed_path(seed).exists()]
    if missing:
        home = FOLDER / "stack"
        shutil.rmtree(home, ignore_errors=True)
        with LocalStack(home) as stack, Client(stack.api_url) as client:
            for seed in missing:
                scores = run_seed(client, home / f"data-{seed}", seed)
                _seed_path(seed).write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    save(rows([json.loads(_seed_path(seed).read_text(encoding="utf-8")) for seed in seeds]))


def run_seed(client: Client, data_folder: Path, seed: int) -> dict[str, Any]:
    """Test accuracies of one seed."""
    config = demo_run_config()
    noisy = _finish(client, post_digits_run(client, data_folder, seed))
    datasets = {"datasets": noisy.config.datasets.model_dump()}
    without_noise = _finish(
        client,
        client.create_run(
            {
                **config,
                **datasets,
                "seed": seed,
                "name": f"seed {seed}, students without noise",
                "student_recipe": {**config["student_recipe"], "noise": NO_NOISE},
            }
        ),
    )
    rival = _finish(
        client,
        client.create_run(
            {
                **config,
                **datasets,
                "seed": seed,
                "name": f"seed {seed}, labeled only, equal compute",
                "generations": 0,
                "student_models": [],
                "teacher_recipe": {**config["teacher_recipe"], "steps": equal_compute_steps(config)},
            }
        ),
    )
    return {
        "seed": seed,
        "noisy": _accuracies(noisy),
        "without_noise": _accuracies(without_noise),
        "equal_compute": _accuracies(rival)[0],
    }


def equal_compute_steps(config: dict[str, Any]) -> int:
    """Steps of the teacher's batch size that see as many images as the teacher and all the students together."""
    teacher, student = config["teacher_recipe"], config["student_recipe"]
    student_images = student["steps"] * student["batch_size"] * (1 + student["unlabeled_ratio"])
    images = teacher["steps"] * teacher["batch_size"] + config["generations"] * student_images
    return round(images / teacher["batch_size"])


def rows(seeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures over all seeds."""
    teachers = [seed["noisy"][0] for seed in seeds]
    students = [seed["noisy"][-1] for seed in seeds]
    rivals = [seed["equal_compute"] for seed in seeds]
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
    """The share of the rival's errors that are gone."""
    return 1 - (1 - accuracy) / (1 - rival)


def _accuracies(run: RunView) -> list[float]:
    accuracies = [generation.model.test_top1 for generation in run.generation_details if generation.model]
    return [accuracy for accuracy in accuracies if accuracy is not None]


def _finish(client: Client, run: RunView) -> RunView:
    while run.state == "running":
        time.sleep(_POLL_SECONDS)
        run = client.get_run(run.id)
    if run.state != "succeeded":
        sys.exit(f"run {run.id} ended {run.state}: {run.state_reason}")
    print(f"{run.name}: {', '.join(f'{accuracy:.4f}' for accuracy in _accuracies(run))}", flush=True)
    return run


def _seed_path(seed: int) -> Path:
    return FOLDER / f"seed-{seed}.json"


if __name__ == "__main__":
    main()
