"""Two training processes of a gloo group that share one model, against two that each hold the whole."""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.method.two_workers import made_spec
from benchmarks.support.gloo_group import GlooSession, Trajectory, in_group, trajectory
from workers.data.order.lanes import Layout
from workers.models.create import create_model
from workers.models.files import load_model, load_state, read_card
from workers.specs.datasets import DatasetManifest, Shard
from workers.specs.imbalance import EffectiveNumber
from workers.specs.initialization import TeacherInit
from workers.specs.optimization import Optimizer, Schedule
from workers.specs.recipe import ResolutionStep
from workers.specs.stages import STAGE_SPEC, TrainSpec
from workers.specs.worker_group import WorkerGroup
from workers.training.group.session import TrainingState
from workers.training.loop import train
from workers.training.phases import phases_of
from workers.training.sharding import gathered, is_sharded, layer_groups, own_part
from workers.training.steps import PhaseSteps, place_of

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    # More parts than the second worker has images, and a norm that clips.
    "parts_clipping_and_class_weights": (
        "test_vit",
        {
            "accumulate": 5,
            "optimizer": Optimizer(learning_rate=0.001, clip_gradient_norm=0.1, layer_decay=0.7),
            "class_weights": EffectiveNumber(effective_number=0.9),
        },
    ),
    # The optimizer scales a step by the norms of whole weights.
    "frozen_stages_and_lamb": (
        "test_vit",
        {
            "init": TeacherInit(kind="teacher", follow=()),
            "freeze": 2,
            "optimizer": Optimizer(name="lamb", learning_rate=0.001),
        },
    ),
    "batch_norm_and_sgd": ("test_resnet", {}),
    "half_precision": (
        "test_vit",
        {
            "precision": "fp16",
            "gradient_checkpointing": True,
            "optimizer": Optimizer(learning_rate=0.001, clip_gradient_norm=0.1),
        },
    ),
}
SHARED, WHOLE = WorkerGroup(num_workers=2, parallelism="fsdp"), WorkerGroup(num_workers=2)


def _read(spec: str) -> TrainSpec:
    read = STAGE_SPEC.validate_json(spec)
    assert isinstance(read, TrainSpec)
    return read


def _farthest(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def _trajectories(rank: int, world_size: int, specs: dict[str, str]) -> dict[str, Trajectory]:
    return {
        name: trajectory(_read(spec), GlooSession(rank, world_size), Layout(world_size)) for name, spec in specs.items()
    }


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trajectory]:
    """Those of all recipes, as NAME.fsdp and NAME.ddp."""
    folder = tmp_path_factory.mktemp("group")
    specs = {}
    for name, (model, changes) in RECIPES.items():
        spec = made_spec(tmp_path_factory.mktemp("data"), 5, 1.0, steps=2, **changes)
        for group in (SHARED, WHOLE):
            specs[f"{name}.{group.parallelism}"] = spec.model_copy(
                update={"model": model, "workers": group}
            ).model_dump_json()
    told: list[dict[str, Trajectory]] = in_group(_trajectories, 2, folder, specs)
    return told[0]


@pytest.mark.parametrize("name", RECIPES)
def test_workers_that_share_a_model_train_as_workers_with_the_whole_do(
    trajectories: dict[str, Trajectory], name: str
) -> None:
    shared, whole = trajectories[f"{name}.fsdp"], trajectories[f"{name}.ddp"]
    assert shared.losses == pytest.approx(whole.losses, abs=1e-4)
    assert len(set(shared.losses)) == 2, "it learns"
    assert _farthest(shared.state["model"], whole.state["model"]) < 1e-4
    assert _farthest(shared.state["ema"], whole.state["ema"]) < 1e-4
    assert shared.state.get("scaler") == whole.state.get("scaler")
    for number, values in whole.state["optimizer"]["state"].items():
        assert _farthest(shared.state["optimizer"]["state"][number], values) < 1e-4
    if name != "batch_norm_and_sgd":  # whose step writes its momentum into the gradients
        assert _farthest(shared.gradients, whole.gradients) < 1e-4 * shared.state.get("scaler", {}).get("scale", 1.0)


@dataclass(frozen=True)
class _Held:
    """The bytes of one worker after a step: those it holds, and those of the whole model."""

    own: dict[str, int]
    whole: dict[str, int]
    names_in_parts: set[str]


def _held(rank: int, world_size: int, spec: str) -> _Held:
    read = _read(spec)
    place = place_of(read, GlooSession(rank, world_size))
    torch.manual_seed(read.seed)
    steps = PhaseSteps(phases_of(read)[0], place, Layout(world_size))
    steps.take(0)
    learner = steps.learner
    parameters: list[torch.Tensor] = list(learner.model.parameters())
    kept: dict[str, list[torch.Tensor]] = {
        "weights": parameters,
        "moving average": list(learner.ema.model.parameters()),
        "gradients": [each.grad for each in parameters if each.grad is not None],
        "optimizer": [
            value
            for values in learner.optimizer.state.values()
            for value in values.values()
            if isinstance(value, torch.Tensor) and value.ndim
        ],
    }

    def total(tensors: list[torch.Tensor]) -> int:
        return sum(each.numel() * each.element_size() for each in tensors)

    return _Held(
        own={kind: total([own_part(each) for each in tensors]) for kind, tensors in kept.items()},
        whole={kind: total([gathered(each.detach()) for each in tensors]) for kind, tensors in kept.items()},
        names_in_parts={
            name
            for name, parameter in learner.model.named_parameters()
            if type(own_part(parameter)) is torch.Tensor and own_part(parameter).numel() < parameter.numel()
        },
    )


def test_each_of_two_workers_holds_half_of_a_shared_model(tmp_path: Path) -> None:
    spec = made_spec(tmp_path, 4, 1.0, steps=3, optimizer=Optimizer()).model_copy(update={"workers": SHARED})
    (tmp_path / "group").mkdir()
    first, second = in_group(_held, 2, tmp_path / "group", spec.model_dump_json())
    assert set(first.own) == {"weights", "moving average", "gradients", "optimizer"}
    for kind, bytes_of_model in first.whole.items():
        assert bytes_of_model > 1_000_000
        assert first.own[kind] == pytest.approx(bytes_of_model / 2, rel=0.01)
        assert first.own[kind] + second.own[kind] == bytes_of_model
    model = create_model(spec.model, len(spec.classes), spec.recipe.image_size, 0, 0)
    names = {name for name, parameter in model.named_parameters() if len(parameter) > 1}
    assert first.names_in_parts >= names


def _validation_set(folder: Path) -> str:
    """129 pictures, so that the first worker has a batch more than the second; two of them are broken."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    images = []
    for number in range(129):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(buffer, format="PNG")
        images.append(b"no picture" if number in (3, 5) else buffer.getvalue())
    table = pa.table({"image": pa.array(images, pa.binary()), "label": pa.array(rng.choice(["a", "b", "c"], size=129))})
    pq.write_table(table, folder / "0.parquet")
    manifest = DatasetManifest(
        dataset_id="ds-validation",
        role="evaluation",
        format="parquet",
        classes=("a", "b", "c"),
        label_column="label",
        rows=129,
        shards=(Shard(uri=str(folder / "0.parquet"), rows=129),),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    return str(folder / "manifest.json")


@dataclass(frozen=True)
class _Training:
    spec: str
    checkpoint: Path | None = None
    """A file, because processes are given few tensors."""


@dataclass(frozen=True)
class _Trained:
    """A training by one worker: its checkpoints and its validations."""

    states: list[TrainingState]
    validations: list[dict[str, float]]


def _train_all(rank: int, world_size: int, trainings: dict[str, _Training]) -> dict[str, _Trained]:
    return {name: _train(each, rank, world_size) for name, each in trainings.items()}


def _train(training: _Training, rank: int, world_size: int) -> _Trained:
    state = None if training.checkpoint is None else torch.load(training.checkpoint, weights_only=True)
    session = GlooSession(rank, world_size, state)
    validations: list[dict[str, float]] = []
    train(_read(training.spec), time.time(), session, lambda _, values: validations.append(values))
    return _Trained(session.states, validations)


@dataclass(frozen=True)
class _Runs:
    """Whole trainings of two phases, whose best weights are kept: by two workers each way, and gone on with others."""

    folder: Path
    by_first: dict[str, _Trained]
    by_second: dict[str, _Trained]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_state(str(self.folder / name))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> _Runs:
    """Trainings `fsdp` and `ddp`, those that go on from the other's checkpoint, and with three workers and with one."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "data").mkdir()
    made = made_spec(
        folder / "data",
        6,
        1.0,
        steps=4,
        keep="best",
        validate_every_steps=2,
        checkpoint_every_steps=1,
        optimizer=Optimizer(learning_rate=0.001, epsilon=1e-3),  # without it, AdamW would magnify roundings
        schedule=Schedule(warmup_steps=1),
        resolution_step=ResolutionStep(image_size=48, steps=2),
    ).model_copy(update={"validation_manifest_uri": _validation_set(folder / "validation")})

    def training(name: str, group: WorkerGroup, checkpoint: Path | None = None) -> _Training:
        (folder / name).mkdir()
        spec = made.model_copy(update={"folder_uri": str(folder / name), "workers": group})
        return _Training(spec.model_dump_json(), checkpoint)

    def in_turn(workers: int, trainings: dict[str, _Training]) -> list[dict[str, _Trained]]:
        own = tmp_path_factory.mktemp("group")
        told: list[dict[str, _Trained]] = in_group(_train_all, workers, own, trainings)
        return told

    first, second = in_turn(2, {"fsdp": training("fsdp", SHARED), "ddp": training("ddp", WHOLE)})
    checkpoints = {name: folder / f"{name}.pt" for name in first}
    for name, checkpoint in checkpoints.items():
        [state] = [state for state in first[name].states if state["step"] == 3]
        torch.save(state, checkpoint)
    others = {
        "fsdp_then_ddp": training("fsdp_then_ddp", WHOLE, checkpoints["fsdp"]),
        "ddp_then_fsdp": training("ddp_then_fsdp", SHARED, checkpoints["ddp"]),
    }
    first |= in_turn(2, others)[0]
    three = SHARED.model_copy(update={"num_workers": 3})
    first |= in_turn(3, {"three": training("three", three, checkpoints["fsdp"])})[0]
    first["one"] = _train(training("one", WorkerGroup(), checkpoints["fsdp"]), 0, 1)
    return _Runs(folder, first, second)


def test_validation_of_a_shared_model_counts_each_readable_image_once(runs: _Runs) -> None:
    shared, whole = runs.by_first["fsdp"].validations, runs.by_first["ddp"].validations
    assert len(shared) == 3
    assert runs.by_second["fsdp"].validations == shared
    for found, expected in zip(shared, whole, strict=True):
        assert found == pytest.approx(expected, abs=1.01 / 127)  # a picture between two classes
        assert found["validation_top1"] * 127 == pytest.approx(round(found["validation_top1"] * 127))


def test_the_model_of_a_sharded_training_is_plain_timm(runs: _Runs) -> None:
    model, card = load_model(str(runs.folder / "fsdp"))  # with strict names
    assert (card.model, card.image_size) == ("test_vit", 48)
    assert not is_sharded(model)
    assert card.parameters == read_card(str(runs.folder / "ddp")).parameters
    assert _farthest(runs.weights("fsdp"), runs.weights("ddp")) < 1e-4


def test_a_sharded_trainings_checkpoint_loads_in_a_plain_model(runs: _Runs) -> None:
    assert [state["step"] for state in runs.by_first["fsdp"].states] == [1, 2, 3, 4, 5]
    assert runs.by_second["fsdp"].states == []
    for shared, whole in zip(runs.by_first["fsdp"].states, runs.by_first["ddp"].states, strict=True):
        for weights in (shared["model"], shared["ema"]):
            plain = create_model("test_vit", 3, 48 if shared["step"] == 5 else 32, 0, 0)
            plain.load_state_dict(weights, strict=True)
        assert {type(value) for value in shared["model"].values()} == {torch.Tensor}
        assert _farthest(shared["model"], whole["model"]) < 1e-4
        assert shared["optimizer"]["param_groups"] == whole["optimizer"]["param_groups"]
        if shared["step"] in (2, 3, 4):  # there has been a validation in this phase
            assert _farthest(shared["progress"]["weights"], whole["progress"]["weights"]) < 1e-4


@pytest.mark.parametrize("others", ["fsdp_then_ddp", "ddp_then_fsdp", "three", "one"])
def test_a_training_goes_on_with_other_workers_shared_or_not(runs: _Runs, others: str) -> None:
    assert [state["step"] for state in runs.by_first[others].states] == [4, 5]
    assert _farthest(runs.weights(others), runs.weights("fsdp")) < 1e-4


def _share(model: nn.Module, layers: nn.Module) -> float:
    return sum(each.numel() for each in layers.parameters()) / sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "convnext_atto", "regnety_002", "swin_tiny_patch4_window7_224"]
)
def test_no_group_of_layers_is_a_large_part_of_the_model(name: str) -> None:
    model = create_model(name, 1000, 224, 0, 0)
    groups = layer_groups(model)
    assert len(groups) == len(set(groups)) > 4
    in_a_group: set[nn.Parameter] = set()
    for layers in [*groups, model]:
        own = [each for each in layers.parameters() if each not in in_a_group]
        in_a_group |= set(own)
        assert sum(each.numel() for each in own) < 0.25 * sum(each.numel() for each in model.parameters())


def test_layers_that_share_weights_with_others_are_gathered_with_the_model() -> None:
    layers = [nn.Linear(8, 8) for _ in range(6)]
    model = nn.Sequential(
        *(nn.Sequential(first, nn.ReLU(), second) for first, second in zip(layers[::2], layers[1::2], strict=True))
    )
    assert layer_groups(model) == layers
    tied = layers[5].weight = layers[0].weight
    assert all(tied is not each for group in layer_groups(model) for each in group.parameters())
    assert layer_groups(model) == layers[1:5]
