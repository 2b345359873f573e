"""Small runs for rehearsals: label on nodes with GPUs, train on CPUs."""

from collections.abc import Mapping
from typing import Any

from noisy_student.local.demo.run import demo_run_config
from tests.rehearsal.checks import CHECKPOINT_EVERY_STEPS
from workers.specs.node_labels import OWN_GROUP


def small_run(
    datasets: Mapping[str, str],
    *,
    generations: int = 1,
    teacher_steps: int = 60,
    student_steps: int = 60,
    train: Mapping[str, Any] | None = None,
    label: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """The demo's run with few steps. `train` and `label` replace what its stages ask of the cluster."""
    run = {**demo_run_config(), "datasets": dict(datasets), "generations": generations}
    for recipe, steps in (("teacher_recipe", teacher_steps), ("student_recipe", student_steps)):
        run[recipe] = {
            **run[recipe],
            "steps": steps,
            "schedule": {"kind": "cosine", "warmup_steps": 10},
            "validate_every_steps": 30,
            "checkpoint_every_steps": CHECKPOINT_EVERY_STEPS,
        }
    if generations == 0:
        run["student_models"] = []
    run["resources"] = {
        **run["resources"],
        "train": train or {"num_workers": 2, "cpus_per_worker": 1, "gpus_per_worker": 0},
        "label": label
        or {
            "min_actors": 1,
            "max_actors": 1,
            "cpus_per_actor": 1,
            "gpus_per_actor": 1,
            "node_labels": {OWN_GROUP: "gpu-label"},
        },
    }
    return {**run, "selection": {"min_confidence": 0.3}, **changes}
