"""What noise contributes, and whether a search finds good noise: three studies of the demo's digits, over REST.

  robustness  per seed, a teacher and three students: mCE and flip rate of the last student against its teacher's
  search      16 trials with the data of generation 1 of the first seed: the steps that early stopping left, and the
              winner's full training compared with the default recipe's, over three seeds
  ablation    the same student without each part of the method, over three seeds

Each can run by itself, and continues where it was interrupted: build/benchmark-studies keeps the runs. Train stages
have one worker here, so that two trainings run at the same time. Errors are those on test images, which decide nothing:
the search measures on validation images.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.results import ResultRow, row, save
from noisy_student.client import Client
from noisy_student.local.demo.run import demo_run_config, register_digits
from noisy_student.local.stack import LocalStack
from service.views.runs import RunView, StageView
from service.views.studies import AblationView, SearchView
from workers.specs.ablation import AblationLine

FOLDER = Path("build/benchmark-studies")
SEEDS = (0, 1, 2)
TRIALS = 16
_RUNS_AT_ONCE = 2
_ONE_WORKER = {"num_workers": 1, "cpus_per_worker": 1}
_POLL_SECONDS = 1.0
_SEARCH = {
    "space": {"rand_augment_n": {"low": 1, "high": 3}, "rand_augment_m": {"low": 0, "high": 18, "step": 3}},
    "trials": TRIALS,
    "steps_fraction": 0.5,
    "max_parallel": _RUNS_AT_ONCE,
}
_ABLATION = {
    "seeds": 3,
    "steps_fraction": 0.4,
    "smaller_student": "test_efficientnet",
    "max_parallel": _RUNS_AT_ONCE,
}
_ROBUSTNESS = {
    "corruptions": {"sample": 500},
    "stability": {"sample": 150},
    "adversarial": {"sample": 150, "epsilons": [2.0, 8.0]},
}


def main() -> None:
    """Runs the studies on the command line, by default all, and writes the rows of each when it ends."""
    names = sys.argv[1:] or list(_STUDIES)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with LocalStack(FOLDER / "stack", num_cpus=_RUNS_AT_ONCE + 1) as stack:
        for name in names:
            started_at = time.monotonic()
            save(_STUDIES[name](stack))
            print(f"{name}: {time.monotonic() - started_at:.0f} s", flush=True)


def robustness(stack: LocalStack) -> list[ResultRow]:
    """The rows of robustness: mCE and flip rate of each seed's last student, as a share of its teacher's."""
    with ThreadPoolExecutor(_RUNS_AT_ONCE) as lanes:
        runs = list(lanes.map(lambda seed: _finished(stack, _posted_run(stack, seed)), SEEDS))
    found = [_robustness_of(run) for run in runs]
    mce = [each["corruptions"]["mean_corruption_error"] / 100 for each in found]
    mfr = [each["stability"]["mean_flip_rate"] / 100 for each in found]
    attacked = [_under_attack(run) for run in runs]
    command = _command("robustness")
    return [
        row("robustness.mce_ratio", mce, "mCE of the last student / its teacher's", "generation 0", command),
        row("robustness.mfr_ratio", mfr, "flip rate of the last student / its teacher's", "generation 0", command),
        row("robustness.pgd_8_gain", attacked, "test accuracy under PGD, epsilon 8 of 255", "generation 0", command),
    ]


def search(stack: LocalStack) -> list[ResultRow]:
    """The rows of the search: the steps taken, and the accuracy of the winner's full training minus the default's."""
    base = _generation_1(stack)
    with Client(stack.api_url) as client:
        search_id = _remembered(
            "search", lambda: client.searches.create({"run_id": base, "generation": 1, "settings": _SEARCH}).id
        )
        _finished(stack, search_id)
        view: SearchView = client.searches.get(search_id)
        assert view.outcome is not None
        winner = {"model": view.outcome.model, "recipe": view.outcome.recipe.model_dump(mode="json")}
        default, best = _full_trainings(stack, base, {}), _full_trainings(stack, base, winner)
    command = _command("search")
    share = view.outcome.steps_run / view.outcome.steps_of_full_trials
    differences = [better - plain for better, plain in zip(best, default, strict=True)]
    return [
        row("search.steps_share", [share], f"of the steps of {TRIALS} full trials", "without early stopping", command),
        row(
            "search.winner_minus_default",
            differences,
            f"test accuracy; trial {view.outcome.best_trial} of the search",
            "the demo's recipe, same seeds",
            command,
        ),
    ]


def ablation(stack: LocalStack) -> list[ResultRow]:
    """The rows of the ablation: how the test error changes without each part of the method."""
    base = _generation_1(stack)
    with Client(stack.api_url) as client:
        ablation_id = _remembered("ablation", lambda: client.ablations.create(base, _generation(_ABLATION)).id)
        _finished(stack, ablation_id)
        view = client.ablations.get(ablation_id)
    assert view.outcome is not None
    return [
        row(
            f"ablation.{line.variant}.error_change",
            _changes(view, line),
            "share of the test images" + (f"; the same student as {line.same_as}" if line.same_as else ""),
            "the full student, same seeds",
            _command("ablation"),
        )
        for line in view.outcome.lines
    ]


_STUDIES = {"robustness": robustness, "search": search, "ablation": ablation}


def run_config(datasets: dict[str, str], seed: int) -> dict[str, Any]:
    """The body of the demo's run, with robustness measured too."""
    config = demo_run_config()
    return {
        **config,
        "name": f"seed {seed}, robustness",
        "datasets": datasets,
        "seed": seed,
        "evaluation": {"robustness": _ROBUSTNESS},
        "resources": {**config["resources"], "train": _ONE_WORKER},
    }


def _posted_run(stack: LocalStack, seed: int) -> str:
    def post() -> str:
        with Client(stack.api_url) as client:
            datasets = register_digits(client, FOLDER / f"data-{seed}", seed)
            return client.runs.create(run_config(datasets, seed)).id

    return _remembered(f"run-{seed}", post)


def _generation_1(stack: LocalStack) -> str:
    """The id of a run with the first seed's teacher and one student, once the student's images are selected."""

    def post() -> str:
        with Client(stack.api_url) as client:
            datasets = register_digits(client, FOLDER / "data-base", SEEDS[0])
            config = run_config(datasets, SEEDS[0])
            return client.runs.create({**config, "name": "base", "generations": 1, "evaluation": {}}).id

    run_id = _remembered("base", post)
    _wait(stack, run_id, lambda run: any(s.name == "select" and s.state == "succeeded" for s in _stages(run)))
    return run_id


def _full_trainings(stack: LocalStack, base: str, student: dict[str, Any]) -> list[float]:
    """Test accuracies of full trainings, one per seed. The seeds are the same for every student."""
    name = "winner" if student else "default"
    request = {**_generation({"variants": ["full"], "seeds": 3, "max_parallel": _RUNS_AT_ONCE}), **student}
    with Client(stack.api_url) as client:
        ablation_id = _remembered(f"full-{name}", lambda: client.ablations.create(base, request).id)
        _finished(stack, ablation_id)
        return [training.top1 or 0.0 for training in client.ablations.get(ablation_id).trainings]


def _generation(settings: dict[str, Any]) -> dict[str, Any]:
    # The report is about test images; nothing is chosen by it.
    return {"generation": 1, "settings": {"on": "test", **settings}}


def _changes(view: AblationView, line: AblationLine) -> list[float]:
    """The change of the test error for each seed."""
    accuracy = {(training.variant, training.seed): training.top1 for training in view.trainings}
    variant = line.same_as or line.variant
    seeds = sorted({training.seed for training in view.trainings})
    pairs = [(accuracy.get((variant, seed)), accuracy.get(("full", seed))) for seed in seeds]
    return [full - mine for mine, full in pairs if mine is not None and full is not None]


def _robustness_of(run: RunView) -> dict[str, Any]:
    """The robustness result of the run's last evaluation."""
    found: dict[str, Any] = _evaluations(run)[-1]["robustness"]
    return found


def _under_attack(run: RunView) -> float:
    """The gain in accuracy under the strongest attack measured."""
    found = _evaluations(run)
    first, last = (each["robustness"]["adversarial"]["attacks"][-1]["top1"] for each in (found[0], found[-1]))
    return float(last - first)


def _evaluations(run: RunView) -> list[dict[str, Any]]:
    """The results of the evaluate stages, in the order of the generations."""
    return [stage.result for stage in _stages(run) if stage.name == "evaluate" and stage.result]


def _stages(run: RunView) -> list[StageView]:
    return [stage for generation in run.generation_details for stage in generation.stages]


def _remembered(name: str, make: Callable[[], str]) -> str:
    """The id of an object that `make` creates, unless it was created before an interruption."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(make()), encoding="utf-8")
    return str(json.loads(path.read_text(encoding="utf-8")))


def _finished(stack: LocalStack, run_id: str) -> RunView:
    run = _wait(stack, run_id, lambda run: run.state not in ("running", "cancelling"))
    if run.state != "succeeded":
        raise SystemExit(f"{run.name} ({run_id}) has {run.state}: {run.state_reason}")
    return run


def _wait(stack: LocalStack, run_id: str, reached: Callable[[RunView], bool]) -> RunView:
    with Client(stack.api_url) as client:
        while not reached(run := client.runs.get(run_id)):
            if run.state not in ("running", "cancelling", "succeeded"):
                raise SystemExit(f"{run.name} ({run_id}) has {run.state}: {run.state_reason}")
            time.sleep(_POLL_SECONDS)
        return run


def _command(study: str) -> str:
    return f"make benchmark-{study}"


if __name__ == "__main__":
    main()
