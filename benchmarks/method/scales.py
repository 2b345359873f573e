"""RandAugment on the authors' scale against torchvision's: the demo's recipe on digits and on Fashion-MNIST.

Both scales get the same splits, the same seeds and the same steps. Per data set and scale, m is chosen by the last
student's validation accuracy on a split of its own; with it, each seed trains a teacher and its students. The test
images are looked at once, when all of that is over. build/benchmark-scales keeps what is finished, so an interrupted
benchmark continues. Everything runs in this process and on one core.

`--share` is the share of the demo's steps, `--authors` and `--torchvision` are the magnitudes that m is chosen from.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.method.one_process import accuracy, train_generations, validation_accuracy
from benchmarks.method.small_pictures import Part, digits, fashion, write_datasets
from benchmarks.results import ResultRow, row, save
from noisy_student.local.demo.run import demo_run_config
from workers.specs.noise import RandAugment, RandAugmentScale
from workers.specs.recipe import Recipe
from workers.specs.selection import SelectionSettings

FOLDER = Path("build/benchmark-scales")
CHOOSING_SEED = 101
DATA: dict[str, Callable[[int], dict[str, Part]]] = {"digits": digits, "fashion": fashion}
Candidates = Mapping[RandAugmentScale, Sequence[int]]
"""The magnitudes of each scale from which m is chosen."""


@dataclass(frozen=True)
class Budget:
    """How much is trained: the share of the demo's steps, and how many students follow the teacher."""

    share: float
    students: int

    @property
    def name(self) -> str:
        return f"share-{self.share:g}-students-{self.students}"


def main() -> None:
    """Trains what is missing, then looks at the test images, and writes a row for each data set."""
    asked = parser().parse_args()
    candidates: Candidates = {"authors": asked.authors, "torchvision": asked.torchvision}
    for data in asked.data:
        save([measured(data, candidates, asked.seeds, Budget(asked.share, asked.students))])


def parser() -> argparse.ArgumentParser:
    """The parser of this command's options."""
    options = argparse.ArgumentParser()
    options.add_argument("--share", type=float, default=1.0)
    options.add_argument("--students", type=int, default=3)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--data", nargs="+", choices=sorted(DATA), default=list(DATA))
    options.add_argument("--authors", type=int, nargs="+", default=[3, 5, 10])
    options.add_argument("--torchvision", type=int, nargs="+", default=[5, 9, 15])
    return options


def command(data: str, candidates: Candidates, seeds: Sequence[int], budget: Budget) -> str:
    """The command that measures the row of one data set again, with every option that its figure depends on."""
    options = [f"--share {budget.share:g}", f"--students {budget.students}", _listed("seeds", seeds)]
    magnitudes = [_listed(scale, candidates[scale]) for scale in ("authors", "torchvision")]
    return " ".join(["python -m benchmarks.method.scales", f"--data {data}", *options, *magnitudes])


def _listed(option: str, numbers: Sequence[int]) -> str:
    return " ".join([f"--{option}", *map(str, numbers)])


def measured(data: str, candidates: Candidates, seeds: Sequence[int], budget: Budget) -> ResultRow:
    """The row of one data set: test accuracy on the authors' scale minus torchvision's, by seed, in points."""
    chosen = {scale: best_magnitude(data, scale, budget, among) for scale, among in candidates.items()}
    students = {
        (scale, seed): trained(data, RandAugment(scale=scale, n=2, m=m), seed, budget)
        for seed in seeds
        for scale, m in chosen.items()
    }
    test = {key: _on_test(data, model, key[1]) for key, model in students.items()}
    for scale in chosen:
        accuracies = ", ".join(f"{test[scale, seed]:.4f}" for seed in seeds)
        print(f"{data}, {scale}, m = {chosen[scale]}: test accuracy {accuracies}", flush=True)
    differences = [100 * (test["authors", seed] - test["torchvision", seed]) for seed in seeds]
    return row(
        f"method.{data}_authors_minus_torchvision",
        differences,
        f"points of test accuracy; m = {chosen['authors']} against {chosen['torchvision']}, {budget.students} "
        f"student(s), {budget.share:g} of the demo's steps",
        "torchvision's scale, same seeds",
        command(data, candidates, seeds, budget),
    )


def best_magnitude(data: str, scale: RandAugmentScale, budget: Budget, among: Sequence[int]) -> int:
    """The candidate with which the last student is best on validation images; among equals the smallest."""

    def on_validation(m: int) -> float:
        return validation_accuracy(trained(data, RandAugment(scale=scale, n=2, m=m), CHOOSING_SEED, budget))

    found = {m: on_validation(m) for m in among}
    print(f"{data}, {scale}: validation accuracy by m {found}", flush=True)
    return max(found, key=lambda m: (found[m], -m))


def trained(data: str, augment: RandAugment, seed: int, budget: Budget) -> Path:
    """The folder of the last student. It is trained unless an earlier call has finished it."""
    folder = FOLDER / data / budget.name / f"{augment.scale}-m{augment.m}-seed-{seed}"
    note = folder / "models.json"
    if not note.exists():
        attempt = _new_attempt(folder)
        config = demo_run_config()
        recipes = [recipe_of(config["teacher_recipe"], augment, budget.share)]
        recipes += [recipe_of(config["student_recipe"], augment, budget.share)] * budget.students
        selection = SelectionSettings.model_validate(config["selection"])
        manifests = _datasets(data, seed)
        models = train_generations(attempt, manifests, config["teacher_model"], recipes, selection, seed)
        reached = ", ".join(f"{validation_accuracy(model):.4f}" for model in models)
        print(f"{data}, {augment.scale}, m = {augment.m}, seed {seed}: validation accuracy {reached}", flush=True)
        note.write_text(json.dumps([str(model) for model in models]) + "\n", encoding="utf-8")
    return Path(json.loads(note.read_text(encoding="utf-8"))[-1])


def recipe_of(demo: dict[str, object], augment: RandAugment, share: float) -> Recipe:
    """The demo's recipe with this RandAugment, and with what is counted in steps scaled by `share`."""
    recipe = Recipe.model_validate_json(json.dumps(demo))
    steps = max(2, round(recipe.steps * share))
    warmup = min(steps - 1, round(recipe.warmup_steps * share))
    return recipe.model_copy(
        update={
            "noise": recipe.noise.model_copy(update={"rand_augment": augment}),
            "steps": steps,
            "schedule": recipe.schedule.model_copy(update={"warmup_steps": warmup}),
            "validate_every_steps": steps,
            "checkpoint_every_steps": steps,
        }
    )


def _new_attempt(folder: Path) -> Path:
    attempt = folder / f"attempt-{len(list(folder.glob('attempt-*')))}"
    attempt.mkdir(parents=True)
    return attempt


def _datasets(data: str, seed: int) -> dict[str, Path]:
    folder = FOLDER / data / f"data-{seed}"
    manifests = {name: folder / name / "manifest.json" for name in ("labeled", "unlabeled", "validation", "test")}
    return manifests if manifests["test"].exists() else write_datasets(folder, DATA[data](seed))


def _on_test(data: str, model: Path, seed: int) -> float:
    return accuracy(model, _datasets(data, seed)["test"])


if __name__ == "__main__":
    main()
