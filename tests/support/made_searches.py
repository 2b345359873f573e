"""A small search for tests: its spec, its trial book, and trials that run without training."""

from collections.abc import Mapping
from pathlib import Path

from workers.artifact_io import write_bytes
from workers.runtime.stage_reporter import StageReporter
from workers.search.model_cost import ModelCost
from workers.search.trial_book import TrialBook
from workers.specs.labeling import PseudoLabels
from workers.specs.noise import Noise, RandAugment
from workers.specs.optimization import Schedule
from workers.specs.recipe import Recipe
from workers.specs.search import FloatRange, IntRange, SearchSettings, SearchSpace
from workers.specs.stages import SearchSpec, TrainSpec, spec_name
from workers.specs.worker_group import WorkerGroup

RECIPE = Recipe(
    steps=360,
    noise=Noise(rand_augment=RandAugment(n=2, m=9), dropout=0.3, drop_path=0.1),
    schedule=Schedule(warmup_steps=40),
)
MODELS = ("small", "medium", "large")
COSTS = {name: ModelCost(parameters=10**n, multiply_adds=10 ** (n + 2)) for n, name in enumerate(MODELS, start=3)}
SPACE = SearchSpace(
    rand_augment_n=IntRange(low=1, high=3),
    rand_augment_m=IntRange(low=0, high=30, step=4),
    models=MODELS,
    drop_path=FloatRange(low=0.0, high=0.3),
)


def search_spec(folder: Path, attempt: int = 1, **changes: object) -> SearchSpec:
    base = TrainSpec(
        run_id="run-1",
        generation=1,
        attempt=1,
        folder_uri=str(folder / "train"),
        seed=5,
        model="small",
        classes=("a", "b"),
        recipe=RECIPE,
        labeled_manifest_uri="/labeled",
        validation_manifest_uri="/validation",
        pseudo_labels=PseudoLabels(manifest_uri="/m", labels_uri="/l", selection_uri="/s"),
        workers=WorkerGroup(num_workers=8, gpus_per_worker=1.0),
    )
    asked = SearchSettings(space=SPACE, trials=4, steps_fraction=0.25, pool_fraction=0.5).model_copy(update=changes)
    spec = SearchSpec(
        run_id="search-1",
        generation=1,
        attempt=attempt,
        folder_uri=str(folder),
        seed=7,
        base=base,
        settings=asked,
        models=MODELS,
    )
    write_bytes(str(folder / spec_name(attempt)), spec.model_dump_json().encode())
    return spec


def book_of(spec: SearchSpec, costs: dict[str, ModelCost] = COSTS, bases: Mapping[str, TrainSpec] = {}) -> TrialBook:
    reporter = StageReporter(spec, entered_at=0.0, clock=lambda: 1.0)
    reporter.announce(spec.settings.trials, "trials")
    return TrialBook(spec, costs, reporter, clock=lambda: 1.0, bases=bases)


def play(book: TrialBook, accuracies: dict[int, list[float]]) -> list[int]:
    """Runs all trials with these accuracies at their looks, at steps 10, 20 and so on. A full trial has 90 steps."""
    numbers = []
    while (training := book.propose()) is not None:
        numbers.append(training.number)
        book.started(training.number)
        for look, accuracy in enumerate(accuracies.get(training.number, [0.5] * 9), start=1):
            book.reported(training.number, 10 * look, {"validation_top1": accuracy})
        book.ended_with(training.number, None)
    return numbers
