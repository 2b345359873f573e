"""One round: a small run, a few faults at random moments, and checks of what must hold afterwards."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.faults.injections import FAULTS, HUNG_AFTER_SECONDS, NEED_A_MOUNT, FaultNotSeen
from benchmarks.faults.scene import Scene
from benchmarks.faults.watch import Watch, complaints
from noisy_student.local.demo.run import demo_run_config, register_digits
from service.views.runs import EventView, RunView, StageView

ENDS_WITHIN_SECONDS = 420.0
"""How long a run may take after its last fault. Without faults it takes a little over a minute on two cores."""
MOST_EVENTS = 80
_CHECKPOINT_EVERY_STEPS = 20
_OUTAGES = {"ray_answers_500", "ray_hangs", "kill_ray_head"}
_TELLING = {"ray_unavailable", "attempt_failed"}


@dataclass(frozen=True)
class Round:
    """The faults of one run, and their outcome."""

    run_id: str
    seconds: float
    faults: tuple[str, ...]
    attempts: int
    complaints: tuple[str, ...]


def possible_faults(scene: Scene) -> list[str]:
    """The names of the faults that are possible on this machine."""
    return [name for name in FAULTS if scene.mounted or name not in NEED_A_MOUNT]


def register(scene: Scene, seed: int) -> dict[str, str]:
    """Registers the demo's digits, and returns the ids of the datasets by part."""
    return register_digits(scene.client, scene.folder / "data", seed)


def small_run(datasets: Mapping[str, str], generations: int) -> dict[str, Any]:
    """The body of the demo's run with few steps: a teacher and `generations` students."""
    run = {**demo_run_config(), "datasets": dict(datasets), "generations": generations, "name": "to be hurt"}
    for recipe, steps in (("teacher_recipe", 120), ("student_recipe", 60)):
        run[recipe] = {
            **run[recipe],
            "steps": steps,
            "schedule": {"kind": "cosine", "warmup_steps": 10},
            "validate_every_steps": 60,
            "checkpoint_every_steps": _CHECKPOINT_EVERY_STEPS,
        }
    if generations == 0:
        run["student_models"] = []
    hung = {"train": HUNG_AFTER_SECONDS, "label": HUNG_AFTER_SECONDS, "evaluate": HUNG_AFTER_SECONDS}
    # More than the default, because several faults may hit one stage.
    retry = {"max_attempts": 12, "hung": 12, "stage_error": 12, "out_of_memory": 12}
    fault_tolerance = {"stall_timeout_seconds": hung, "retry": retry}
    return {**run, "selection": {"min_confidence": 0.3}, "fault_tolerance": fault_tolerance}


def play_round(
    scene: Scene, config: Mapping[str, Any], faults: Sequence[str], dice: random.Random, pause: tuple[float, float]
) -> Round:
    """Posts the run and injects the faults, each a random time after the last, within `pause` (seconds)."""
    began = time.monotonic()
    run_id = scene.run_id = scene.client.runs.create(config).id
    told: list[str] = []
    found: list[str] = []
    with Watch(scene.artifacts) as watch:
        for name in faults:
            time.sleep(dice.uniform(*pause))
            at = time.monotonic() - began
            if has_ended(scene.get_run(run_id)):
                break
            try:
                told.append(f"{at:.0f} s: {FAULTS[name](scene, dice)}")
            except FaultNotSeen as error:
                found.append(str(error))
        run = _wait_for_the_end(scene, run_id)
    stages = [stage for generation in run.generation_details for stage in generation.stages]
    found += complaints(run, stages, watch, _CHECKPOINT_EVERY_STEPS)
    found += _untold(scene.events(run_id), stages, set(faults[: len(told)]))
    return Round(
        run_id=run_id,
        seconds=time.monotonic() - began,
        faults=tuple(told),
        attempts=sum(len(stage.attempts) for stage in stages),
        complaints=tuple(found),
    )


def has_ended(run: RunView) -> bool:
    """Whether the run has ended."""
    return run.state in ("succeeded", "failed", "gated", "cancelled")


def _wait_for_the_end(scene: Scene, run_id: str) -> RunView:
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    run = scene.get_run(run_id)
    while not has_ended(run) and time.monotonic() < deadline:
        time.sleep(0.5)
        run = scene.get_run(run_id)
    return run


def _untold(events: Sequence[EventView], stages: Sequence[StageView], faults: set[str]) -> list[str]:
    """What the run's history omits, or says too often."""
    kinds = [event.kind for event in events]
    failed = sum(attempt.state == "failed" for stage in stages for attempt in stage.attempts)
    found = []
    if kinds.count("attempt_failed") != failed:
        found.append(f"{failed} attempts failed, and the history tells of {kinds.count('attempt_failed')}")
    if faults & _OUTAGES and not _TELLING & set(kinds):
        found.append("the history does not tell of Ray's outage")
    if len(events) > MOST_EVENTS:
        found.append(f"the history has {len(events)} events")
    return found
