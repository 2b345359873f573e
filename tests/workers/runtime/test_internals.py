"""Each use of an undocumented part of a library can be turned off, and is skipped if the part is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workers.runtime.internals import INTERNALS_VARIABLE, internals_environment, library_internals
from workers.specs.internals import LibraryInternals

_USES = "torch_dynamo", "timm_imports", "ray_train_controller", "torch_store", "ray_drain_notices"


def test_all_are_used_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INTERNALS_VARIABLE, raising=False)
    assert set(library_internals().model_dump().values()) == {True}
    assert internals_environment(LibraryInternals()) == {}


@pytest.mark.parametrize("use", _USES)
def test_what_is_turned_off_reaches_a_process_by_its_environment(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = LibraryInternals(**{use: False})
    for name, value in internals_environment(wanted).items():
        monkeypatch.setenv(name, value)
    assert library_internals() == wanted
    assert [name for name, used in library_internals().model_dump().items() if not used] == [use]


_USE_ALL = """
import json, logging, sys
logging.basicConfig(level="WARNING")
import torch
from torch import nn
BROKEN
from workers.models.create import create_model
from workers.training.group.process_group import ProcessGroupConfig
from workers.training.group.trainer import _trainer_class
from workers.training.lean_torch import put_off_dynamo

put_off_dynamo()
torch.manual_seed(0)
layer = nn.Linear(4, 2)
optimizer = torch.optim.AdamW(layer.parameters())
layer(torch.ones(3, 4)).sum().backward()
optimizer.step()
had_dynamo = "torch._dynamo.eval_frame" in sys.modules
models = [create_model(name, 3, 28, 0.1, 0.1) for name in ("test_resnet", "test_efficientnet")]
put_off_dynamo()
print(json.dumps({
    "dynamo": had_dynamo,
    "timm": "timm" in sys.modules,
    "trainers": [_trainer_class(may_be_killed=killed).__name__ for killed in (False, True)],
    "store": ProcessGroupConfig().backend_cls.__name__,
    "results": [layer.weight.tolist(), [[float(p.sum()) for p in model.parameters()] for model in models]],
}))
"""
_GONE = """
import importlib.util
import ray.train.torch
import ray.train.v2._internal.execution.controller as controllers
import workers.models.lean_timm as lean_timm
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "torch._dynamo" else find_spec(name, *rest)
lean_timm._fill_timm_data = lambda: 1 / 0
del controllers.TrainController
"""
_LEAN = {
    "dynamo": False,
    "timm": False,
    "trainers": ["InProcessTorchTrainer", "StoppableTorchTrainer"],
    "store": "BoundStore",
}
_PLAIN = {"dynamo": True, "timm": True, "trainers": ["TorchTrainer", "TorchTrainer"]}


def _in_a_new_process(code: str, internals: LibraryInternals = LibraryInternals()) -> tuple[str, str]:
    """The output and the log of the code in a separate process, because imports cannot be undone."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **internals_environment(internals), "RAY_TRAIN_V2_ENABLED": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def _used(code: str, internals: LibraryInternals = LibraryInternals()) -> tuple[dict[str, Any], str]:
    printed, log = _in_a_new_process(code, internals)
    return json.loads(printed), log


@pytest.fixture(scope="module")
def lean() -> dict[str, Any]:
    """The code of a process that uses all internals."""
    return _used(_USE_ALL.replace("BROKEN", ""))[0]


def test_all_are_used_where_nothing_says_otherwise(lean: dict[str, Any]) -> None:
    assert {name: lean[name] for name in _LEAN} == _LEAN


def test_with_all_turned_off_the_documented_ways_give_the_same(lean: dict[str, Any]) -> None:
    plain, log = _used(_USE_ALL.replace("BROKEN", ""), LibraryInternals(**dict.fromkeys(_USES, False)))
    assert {name: plain[name] for name in _PLAIN} == _PLAIN
    assert plain["store"] == "_TorchBackend"
    assert plain["results"] == lean["results"]
    assert "is not as it was" not in log


def test_where_the_parts_are_gone_the_documented_ways_are_taken_with_one_warning_each(lean: dict[str, Any]) -> None:
    moved, log = _used(_USE_ALL.replace("BROKEN", _GONE))
    assert {name: moved[name] for name in _PLAIN} == _PLAIN
    assert moved["results"] == lean["results"]
    for part in ("torch's compiler", "timm's package", "Ray Train's controller"):
        assert log.count(f"{part} is not as it was") == 1


@pytest.mark.attack
def test_a_torch_whose_store_cannot_be_bound_is_refused_and_the_setting_is_named() -> None:
    """The documented way would open a port to the network here, which only the operator may decide."""
    code = """
import torch.distributed, importlib
del importlib.import_module("torch.distributed.rendezvous")._create_c10d_store
from workers.training.group.process_group import bind_store_to_its_address
try:
    bind_store_to_its_address()
except RuntimeError as error:
    print(error)
"""
    assert "INTERNALS__TORCH_STORE=false" in _in_a_new_process(code)[0]


def test_no_other_module_imports_private_parts_of_ray_torch_or_timm() -> None:
    """Each new use needs a field of LibraryInternals, and a way without it."""
    allowed = {"lean_torch.py", "lean_timm.py", "lean_trainer.py", "node_groups.py", "drain_notice.py", "elastic.py"}
    packages = ("api", "service", "workers", "noisy_student")
    root = Path(__file__).parents[3]
    found = [
        f"{file.name}: {line}"
        for package in packages
        for file in sorted((root / package).rglob("*.py"))
        if file.name not in allowed
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(
            ("from ray", "from torch.", "from timm", "import ray.", "import torch.", "import timm.")
        )
        and any(part.startswith("_") for part in line.replace(",", " ").replace(".", " ").split())
    ]
    assert found == []
