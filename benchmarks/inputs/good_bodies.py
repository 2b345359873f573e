"""The bodies of good requests: four registered datasets, a run on them, and a body for each kind of request."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.inputs.made_pictures import photos
from benchmarks.inputs.service_process import ServiceProcess
from benchmarks.inputs.small_parquet import parquet
from benchmarks.inputs.trees import write

_LABELS = ["cat", "dog"] * 4
_RECIPE = {
    "image_size": 32,
    "steps": 200,
    "batch_size": 8,
    "noise": {"rand_augment": {"scale": "torchvision", "n": 2, "m": 9}, "dropout": 0.1, "drop_path": 0.1},
}


class GoodBodies:
    """Makes the bodies. It registers the datasets and creates the run when the first body is requested."""

    def __init__(self, service: ServiceProcess, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self._bodies: dict[str, Any] = {}
        self.run_id = ""

    def body(self, kind: str) -> Any:
        """A good body of that kind, such as that of POST /runs for `run`. The caller may change it."""
        if not self._bodies:
            self._bodies = self._made()
        what, _, length = kind.partition(" of ")
        body = copy.deepcopy(self._bodies[what])
        if length:  # alongside a run with a name of that length
            self.run_id = self._created("/runs", self._bodies["run"] | {"name": "n" * int(length)})
            body |= {"run_id": self.run_id} if what == "search" else {}
        return body

    def run(self) -> str:
        """The id of an existing run."""
        self.body("run")
        return self.run_id

    def _made(self) -> dict[str, Any]:
        datasets = {
            "labeled": self._registered("labeled", "labeled", 1000, _LABELS),
            "unlabeled": self._registered("unlabeled", "unlabeled", 1100, None),
            "validation": self._registered("validation", "evaluation", 1200, _LABELS),
            "test": self._registered("test", "evaluation", 1300, _LABELS),
        }
        run = {
            "name": "a run",
            "datasets": datasets,
            "teacher_model": "test_resnet",
            "student_models": ["test_resnet"],
            "generations": 1,
            "teacher_recipe": {**_RECIPE, "unlabeled_ratio": 0},
            "student_recipe": _RECIPE,
        }
        # A test set that contains one of the labeled images, and sets with other classes.
        shared = [*photos(7, 1400), *photos(1, 1000)]
        others = {
            "shares": self._written("shares", "evaluation", shared, _LABELS),
            "other_classes": self._registered("other classes", "evaluation", 1500, ["cat", "emu"] * 4),
            "more_classes": self._registered("more classes", "evaluation", 1600, ["cat", "dog", "emu", "fox"] * 2),
        }
        self.run_id = self._created("/runs", run)
        return {
            "run": run,
            "sets": {"run": run, **others},
            "search": {"run_id": self.run_id, "generation": 0, "settings": {"trials": 2}},
            "ablation": {"settings": {"seeds": 1}},
            "plan": {"run": run},
            "webhook": {"url": "https://example.org/hook"},
            "dataset": {"name": "a dataset", "role": "unlabeled", "uri": str(self._folder / "unlabeled")},
            "generation": {},
        }

    def _registered(self, name: str, role: str, first: int, labels: list[str] | None) -> str:
        return self._written(name, role, photos(8, first), labels)

    def _written(self, name: str, role: str, images: Sequence[bytes], labels: list[str] | None) -> str:
        write(self._folder / name, {"a.parquet": parquet(images, labels)})
        return self._created("/datasets", {"name": name, "role": role, "uri": str(self._folder / name)})

    def _created(self, path: str, body: dict[str, Any]) -> str:
        answer = self._service.client.post(path, json=body)
        if answer.status_code != 201:
            raise RuntimeError(f"a good body for {path} was refused: {answer.text[:500]}")
        return str(answer.json()["id"])
