"""The demo's run: its digits registered, and posted over REST."""

import json
from pathlib import Path
from typing import Any

from noisy_student.client import Client
from noisy_student.local.demo.digits import write_digit_datasets
from service.views.runs import RunView

_RUN_FILE = Path(__file__).with_name("digits_run.json")
_ROLES = {"labeled": "labeled", "unlabeled": "unlabeled", "validation": "evaluation", "test": "evaluation"}


def post_digits_run(client: Client, data_folder: Path, seed: int) -> RunView:
    """Registers the four datasets of `seed`'s split, and posts the demo's run."""
    return client.runs.create(
        {**demo_run_config(), "datasets": register_digits(client, data_folder, seed), "seed": seed}
    )


def register_digits(client: Client, data_folder: Path, seed: int) -> dict[str, str]:
    """Writes the four datasets of `seed`'s split, and registers them; ids by the part each plays."""
    places = write_digit_datasets(data_folder, seed)
    return {
        name: client.datasets.create({"name": f"digits {name}", "role": _ROLES[name], "uri": str(place.resolve())}).id
        for name, place in places.items()
    }


def demo_run_config() -> dict[str, Any]:
    """The demo's run as it is posted, its dataset ids still empty."""
    config: dict[str, Any] = json.loads(_RUN_FILE.read_text(encoding="utf-8"))
    return config
