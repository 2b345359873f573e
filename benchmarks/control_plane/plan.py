"""How well a plan predicts a run: for each seed, the demo's plan and then the demo itself, on a private local stack.

The error of labeling, and that of training, is |planned - taken| / taken of the wall time over all generations of a
run, work and overhead together. build/benchmark-plan keeps finished seeds, so an interrupted benchmark can continue.

"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.results import ResultRow, row, save
from noisy_student.client import Client
from noisy_student.local.demo.run import demo_run_config, register_digits
from noisy_student.local.stack import LocalStack
from service.views.estimates import EstimateView
from service.views.runs import RunView

FOLDER = Path("build/benchmark-plan")
COMMAND = "make benchmark-plan"
_USUAL_SEEDS = [0, 1, 2]
"""The seeds of the command as documented."""
STAGES = ("label", "train")
_POLL_SECONDS = 1.0


def main() -> None:
    """Plans and runs each seed on the command line, then writes the rows over all seeds."""
    seeds = [int(argument) for argument in sys.argv[1:]]
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not _path(seed).exists()]
    if missing:
        home = FOLDER / "stack"
        shutil.rmtree(home, ignore_errors=True)
        with LocalStack(home) as stack, Client(stack.api_url) as client:
            for seed in missing:
                _plan_and_run(client, FOLDER / f"data-{seed}", seed)
    named = "" if seeds == _USUAL_SEEDS else f' PLAN_SEEDS="{" ".join(map(str, seeds))}"'
    found = [json.loads(_path(seed).read_text(encoding="utf-8")) for seed in seeds]
    save(rows(found, COMMAND + named))


def comparison(plan: EstimateView, run: RunView) -> dict[str, Any]:
    """The planned and the taken seconds of every stage, and the seconds that the plan itself took."""
    assert plan.bill is not None
    assert plan.finished_at is not None
    planned = {(line.generation, str(line.stage)): line for line in plan.bill.as_configured.stages}
    taken = [
        (stage, stage.times) for generation in run.generation_details for stage in generation.stages if stage.times
    ]
    return {
        "plan_seconds": (plan.finished_at - plan.created_at).total_seconds(),
        "stages": [
            {
                "generation": stage.generation,
                "stage": stage.name,
                "planned_seconds": planned[stage.generation, stage.name].wall_seconds,
                "taken_seconds": times.total_seconds,
                "planned_work_seconds": planned[stage.generation, stage.name].work_seconds,
                "taken_work_seconds": times.work_seconds,
            }
            for stage, times in taken
        ],
    }


def rows(seeds: list[dict[str, Any]], command: str = COMMAND) -> list[ResultRow]:
    """The rows over all seeds: the errors of labeling and training, of their work alone, and the time of the plans."""
    wall = [_error(seed, stage, "seconds") for seed in seeds for stage in STAGES]
    work = [_error(seed, stage, "work_seconds") for seed in seeds for stage in STAGES]
    plans = [seed["plan_seconds"] for seed in seeds]
    unit = f"|planned - taken| / taken; of each seed {' and '.join(STAGES)}"
    return [
        row("plan.relative_error", wall, f"{unit}, wall time", "the demo's run after it", command),
        row("plan.relative_error_of_work", work, f"{unit}, without overhead", "the demo's run after it", command),
        row("plan.seconds", plans, "s per plan", "the run: about 400 s", command),
    ]


def _error(seed: dict[str, Any], stage: str, seconds: str) -> float:
    lines = [line for line in seed["stages"] if line["stage"] == stage]
    planned, taken = (sum(line[f"{side}_{seconds}"] for line in lines) for side in ("planned", "taken"))
    return float(abs(planned - taken) / taken)


def _plan_and_run(client: Client, data: Path, seed: int) -> None:
    config = {**demo_run_config(), "datasets": register_digits(client, data, seed), "seed": seed}
    plan_id = client.plans.create({"run": config}).id
    _finished(client, plan_id)
    run = _finished(client, client.runs.create(config).id)
    found = comparison(client.plans.get(plan_id), run)
    _path(seed).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    errors = ", ".join(f"{stage} {_error(found, stage, 'seconds'):.1%}" for stage in STAGES)
    print(f"seed {seed}: {errors}; the plan took {found['plan_seconds']:.0f} s", flush=True)


def _finished(client: Client, run_id: str) -> RunView:
    while (run := client.runs.get(run_id)).state in ("running", "cancelling"):
        time.sleep(_POLL_SECONDS)
    if run.state != "succeeded":
        raise SystemExit(f"{run_id} has {run.state}: {run.state_reason}")
    return run


def _path(seed: int) -> Path:
    return FOLDER / f"seed-{seed}.json"


if __name__ == "__main__":
    main()
