"""Registers four image datasets, starts a run on them, and waits for it to end.

    python examples/start_and_wait.py examples/runs/first.yaml LABELED UNLABELED VALIDATION TEST

The last four arguments are folders, files or s3:// URIs. The address and the key come from NOISY_STUDENT_API and
NOISY_STUDENT_API_KEY.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from noisy_student import Client
from service.views.runs import RunView

ROLES = {"labeled": "labeled", "unlabeled": "unlabeled", "validation": "evaluation", "test": "evaluation"}


def main(file: str, *places: str) -> None:
    config: dict[str, Any] = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    with Client() as client:
        for (part, role), place in zip(ROLES.items(), places, strict=True):
            uri = place if "://" in place else str(Path(place).resolve())
            config["datasets"][part] = client.datasets.create({"name": part, "role": role, "uri": uri}).id
        run = client.runs.create(config).wait(progress=tell)
        print(f"{run.id} {run.state} {run.state_reason or ''}")
        for model in client.models.list(run_id=run.id):
            print(f"generation {model.generation}: {model.model}, test accuracy {model.test_top1}")
    if run.state != "succeeded":
        sys.exit(1)


def tell(run: RunView) -> None:
    stages = [stage for generation in run.generation_details for stage in generation.stages]
    for stage in stages:
        if stage.state == "running" and stage.progress:
            done = f"{stage.progress.done}/{stage.progress.total} {stage.progress.unit}"
            print(f"generation {stage.generation} {stage.name}: {done}")


if __name__ == "__main__":
    main(*sys.argv[1:])
