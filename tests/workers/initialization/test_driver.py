"""What a stage's driver does with initial weights before it takes any worker."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.workers.initialization.conftest import MakeSpec
from workers.initialization.driver import forget_tensors, prepared, report_of
from workers.initialization.tensors import read_tensors
from workers.runtime.stage_reporter import StageError, StageReporter
from workers.specs.reports import FailureReason
from workers.training.stage import run_train

_IN_ANOTHER_PROCESS = """
import json, sys
from workers.initialization.preparation import make_ready
from workers.runtime.stage_reporter import StageError
from workers.specs.stages import TrainSpec
for line in sys.stdin:
    spec = TrainSpec.model_validate_json(line)
    try:
        print(make_ready(spec, spec.folder_uri + "/initial").model_dump_json())
    except StageError as error:
        print(json.dumps({"refused": str(error), "reason": error.reason}))
"""
HUB = "hf-hub:timm/test_resnet.r160_in1k@" + "a" * 40


def ready_with_cache(foreign: Path, *specs: Any) -> list[dict[str, Any]]:
    """What comes of the specs where the hub's cache is foreign/hf, and there is no network."""
    environment = {**os.environ, "HF_HOME": str(foreign / "hf"), "HF_HUB_OFFLINE": "1"}
    lines = "\n".join(spec.model_dump_json() for spec in specs)
    done = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS],
        input=lines,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_pretrained_weights_come_from_the_cache_and_their_absence_names_it(foreign: Path, make_spec: MakeSpec) -> None:
    default, tagged, pets, absent, trojan, bert, other = ready_with_cache(
        foreign,
        make_spec({"kind": "pretrained"}, "default"),
        make_spec({"kind": "pretrained", "name": "test_resnet.r160_in1k"}, "tagged"),
        make_spec({"kind": "pretrained", "name": "hf-hub:acme/pets"}, "pets"),
        make_spec({"kind": "pretrained"}, "absent", model="test_efficientnet"),
        make_spec({"kind": "pretrained", "name": "hf-hub:acme/trojan"}, "trojan"),
        make_spec({"kind": "pretrained", "name": "hf-hub:acme/bert"}, "bert"),
        make_spec({"kind": "pretrained", "name": "hf-hub:acme/pets"}, "other", model="test_vit"),
    )
    wanted = load_file(foreign / "thousand.safetensors")
    taken = read_tensors(make_spec({"kind": "random"}, "default").folder_uri + "/initial")
    assert all(torch.equal(taken[name], wanted[name]) for name in taken)
    assert len(taken) == len(wanted) - 2
    assert default["weights"] == tagged["weights"]
    assert default["weights"]["source"] == HUB
    assert set(default["left"]) == {"fc.weight", "fc.bias"}
    assert default["configuration"]["image_size"] == 160
    assert pets["weights"]["source"] == "hf-hub:acme/pets@" + "b" * 40
    assert pets["configuration"]["mean"] == [0.1, 0.2, 0.3]
    assert absent["reason"] == FailureReason.USER_ERROR
    assert f"HF_HOME says, now {foreign / 'hf'}" in absent["refused"]
    assert "TORCH_HOME" in absent["refused"]
    assert "timm/test_efficientnet" in absent["refused"]
    assert "could run its author's code" in trojan["refused"]
    assert not (foreign / "malice_was_run").exists()
    assert "hf-hub:acme/bert is no model of timm" in bert["refused"]
    assert "hf-hub:acme/pets is a test_resnet, not a test_vit" in other["refused"]


def test_the_driver_prepares_weights_once_and_its_recipe_follows_them(foreign: Path, make_spec: MakeSpec) -> None:
    spec = make_spec({"kind": "file", "uri": str(foreign / "plain.pth")}, recipe={"mean": (0.2, 0.2, 0.2)})
    ready = prepared(spec, lambda: None)
    recipe = ready.recipe
    assert (recipe.image_size, recipe.mean, recipe.std) == (160, (0.2, 0.2, 0.2), (0.5, 0.5, 0.5))
    assert (recipe.interpolation, recipe.test_crop_fraction) == ("bilinear", 0.95)
    report = report_of(ready)
    assert report is not None
    assert ready.prepared is not None
    assert report.weights == ready.prepared.weights
    assert report.followed == ("image_size", "std", "crop", "test_crop_fraction", "interpolation")
    gone = make_spec({"kind": "file", "uri": "/gone.pth"}, recipe={"mean": (0.2, 0.2, 0.2)})
    assert prepared(gone, lambda: None).prepared == ready.prepared  # a retry reads what there is
    forget_tensors(ready)
    assert report_of(ready) == report
    with pytest.raises(FileNotFoundError):
        read_tensors(ready.prepared.uri)


def test_random_weights_need_nothing(make_spec: MakeSpec) -> None:
    spec = make_spec({"kind": "random"})
    assert prepared(spec, lambda: None) is spec
    assert report_of(spec) is None


def test_a_recipe_that_contradicts_the_weights_is_refused(foreign: Path, make_spec: MakeSpec) -> None:
    step = {"image_size": 100, "steps": 1}
    spec = make_spec({"kind": "file", "uri": str(foreign / "plain.pth")}, recipe={"resolution_step": step})
    with pytest.raises(StageError, match=r"recipe\.resolution_step\.image_size: must be above image_size \(160\)"):
        prepared(spec, lambda: None)


def test_a_train_stage_without_its_weights_fails_before_it_asks_the_cluster_for_anything(make_spec: MakeSpec) -> None:
    """There is no cluster here: a stage that asked it for a worker would fail otherwise, or start one."""
    spec = make_spec({"kind": "file", "uri": "/nowhere/model.safetensors"})
    with pytest.raises(StageError, match=r"/nowhere/model\.safetensors is not there") as refused:
        run_train(spec, StageReporter(spec, time.time()))
    assert refused.value.reason is FailureReason.USER_ERROR
