"""Optimizers and schedules: what timm's factories make of a recipe."""

import pytest
import torch
from torch import nn

from workers.models.create import create_model
from workers.specs.optimization import Optimizer, OptimizerName, Schedule
from workers.specs.recipe import Recipe
from workers.training.optimizers import LearningRate, make_optimizer

CLASSES: dict[OptimizerName, str] = {
    "adamw": "AdamW",
    "sgd": "SGD",
    "momentum": "SGD",
    "rmsproptf": "RMSpropTF",
    "lamb": "Lamb",
    "lion": "Lion",
    "nadamw": "NAdamW",
}


def _vit() -> nn.Module:
    return create_model("test_vit", 3, 32, 0, 0)


@pytest.mark.parametrize("name", CLASSES)
def test_each_optimizer_is_timms_and_moves_the_weights(name: OptimizerName) -> None:
    torch.manual_seed(0)
    model = _vit()
    optimizer = make_optimizer(model, Recipe(optimizer=Optimizer(name=name, learning_rate=0.01)))
    assert type(optimizer).__name__ == CLASSES[name]
    before = [parameter.detach().clone() for parameter in model.parameters()]
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_rmsprop_is_the_authors() -> None:
    settings = Optimizer(name="rmsproptf", epsilon=1e-3, momentum=0.9, squared_decay=0.9, weight_decay=1e-5)
    optimizer = make_optimizer(_vit(), Recipe(optimizer=settings))
    groups = optimizer.param_groups
    assert {(group["eps"], group["alpha"], group["momentum"]) for group in groups} == {(1e-3, 0.9, 0.9)}
    assert {group["decoupled_decay"] for group in groups} == {False}
    assert sorted(group["weight_decay"] for group in groups) == [0.0, 1e-5]


def test_sgd_has_nesterovs_momentum_and_momentum_has_not() -> None:
    nesterov = {
        name: make_optimizer(_vit(), Recipe(optimizer=Optimizer(name=name))).defaults["nesterov"]
        for name in ("sgd", "momentum")
    }
    assert nesterov == {"sgd": True, "momentum": False}


def test_biases_norms_and_position_embeddings_are_not_decayed() -> None:
    model = _vit()
    optimizer = make_optimizer(model, Recipe(optimizer=Optimizer(weight_decay=0.05)))
    decayed = {id(each) for group in optimizer.param_groups if group["weight_decay"] for each in group["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in decayed}
    assert names
    assert not any(name.endswith("bias") or "norm" in name or name in ("pos_embed", "cls_token") for name in names)


@pytest.mark.parametrize(("scaling", "factor"), [("no", 1.0), ("linear", 4.0), ("square_root", 2.0)])
def test_the_learning_rate_follows_the_batch(scaling: str, factor: float) -> None:
    settings = Optimizer.model_validate({"learning_rate": 0.01, "scale_learning_rate": scaling, "base_batch_size": 256})
    recipe = Recipe(optimizer=settings, batch_size=1024, schedule=Schedule(warmup_steps=0))
    optimizer = make_optimizer(_vit(), recipe)
    LearningRate(optimizer, recipe).set_for(0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01 * factor] * 2)


def test_layer_decay_slows_the_first_layers_at_every_step() -> None:
    model = _vit()
    recipe = Recipe(optimizer=Optimizer(layer_decay=0.5), schedule=Schedule(warmup_steps=1), steps=10)
    optimizer = make_optimizer(model, recipe)
    rates = LearningRate(optimizer, recipe)
    places = {id(parameter): name for name, parameter in model.named_parameters()}
    for step in (0, 1, 7):
        rates.set_for(step)
        rate_of = {places[id(each)]: group["lr"] for group in optimizer.param_groups for each in group["params"]}
        depth = len({name.split(".")[1] for name in rate_of if name.startswith("blocks.")})
        assert rate_of["patch_embed.proj.weight"] < rate_of["blocks.0.attn.qkv.weight"] < rate_of["head.weight"]
        assert rate_of["blocks.0.attn.qkv.weight"] == pytest.approx(rate_of["head.weight"] * 0.5**depth)


def test_the_authors_decay_counts_from_the_first_step() -> None:
    recipe = Recipe(
        steps=100,
        optimizer=Optimizer(learning_rate=1.0),
        schedule=Schedule(kind="step", warmup_steps=5, step_every=4, step_factor=0.5, decay_from="start"),
    )
    optimizer = make_optimizer(_vit(), recipe)
    rates = LearningRate(optimizer, recipe)
    found = []
    for step in (4, 5, 7, 8, 12):
        rates.set_for(step)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([5 / 6, 0.5, 0.5, 0.25, 0.125])


@pytest.mark.parametrize("kind", ["cosine", "tanh", "poly"])
def test_a_schedule_ends_at_its_final_share(kind: str) -> None:
    schedule = Schedule.model_validate({"kind": kind, "warmup_steps": 10, "final_share": 0.1})
    recipe = Recipe(steps=1000, optimizer=Optimizer(learning_rate=1.0), schedule=schedule)
    optimizer = make_optimizer(_vit(), recipe)
    rates = LearningRate(optimizer, recipe)
    found = []
    for step in (10, 500, 999):
        rates.set_for(step)
        found.append(optimizer.param_groups[0]["lr"])
    assert found[0] == pytest.approx(1.0, abs=0.02)
    assert found[0] > found[1] > found[2]
    assert found[2] == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("epsilon", {"name": "sgd", "epsilon": 1e-3}),
        ("epsilon", {"name": "lion", "epsilon": 1e-3}),
        ("betas", {"name": "rmsproptf", "betas": (0.9, 0.99)}),
        ("squared_decay", {"name": "adamw", "squared_decay": 0.5}),
    ],
)
def test_a_setting_of_another_optimizer_is_refused(field: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=field):
        Optimizer.model_validate(settings)


@pytest.mark.parametrize(
    ("field", "settings"),
    [("power", {"kind": "cosine", "power": 2.0}), ("final_share", {"kind": "step", "final_share": 0.1})],
)
def test_a_setting_of_another_schedule_is_refused(field: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=field):
        Schedule.model_validate(settings)
