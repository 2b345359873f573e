"""Registers the demo's digits and posts its run over REST."""

import json
from pathlib import Path
from typing import Any

from noisy_student.client import Client
from noisy_student.local.demo.digits import write_digit_datasets
from service.views.runs import RunView

_RUN_FILE = Path(__file__).with_name("digits_run.json")
_ROLES = {"labeled": "labeled", "unlabeled": "unlabeled", "validation": "evaluation", "test": "evaluation"}


def post_digits_run(client: Client, data_folder: Path, seed: int) -> RunView:
    """Registers the four datasets of the split by `seed`, and posts the demo's run."""
    return client.runs.create(
        {**demo_run_config(), "datasets": register_digits(client, data_folder, seed), "seed": seed}
    )


def register_digits(client: Client, data_folder: Path, seed: int) -> dict[str, str]:
    """Writes and registers the four datasets of the split by `seed`. Returns their ids by part."""
    places = write_digit_datasets(data_folder, seed)
    return {
        name: client.datasets.create({"name": f"digits {name}", "role": _ROLES[name], "uri": str(place.resolve())}).id
        for name, place in places.items()
    }


def demo_run_config() -> dict[str, Any]:
    """The configuration of the demo's run, without dataset ids."""
    config: dict[str, Any] = json.loads(_RUN_FILE.read_text(encoding="utf-8"))
    return config
