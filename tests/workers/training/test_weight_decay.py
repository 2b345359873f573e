"""Which parameters are decayed."""

import pytest
from torch import nn

from workers.models.create import create_model
from workers.specs.optimization import Optimizer
from workers.specs.recipe import Recipe
from workers.training.optimizers import make_optimizer


def decayed_and_not(model: nn.Module) -> tuple[set[str], set[str]]:
    """The names of the parameters that the optimizer decays, and of the others that it trains."""
    optimizer = make_optimizer(model, Recipe(optimizer=Optimizer(weight_decay=0.1)))
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for group in optimizer.param_groups:
        wanted = {id(parameter) for parameter in group["params"]}
        names = {name for name, parameter in model.named_parameters() if id(parameter) in wanted}
        found[group["weight_decay"] > 0] |= names
    return found[True], found[False]


@pytest.mark.parametrize(
    ("name", "size", "free"),
    [
        ("test_vit", 32, {"pos_embed", "cls_token"}),
        ("levit_128s", 224, {"stages.0.blocks.0.attn.attention_biases"}),
        ("swin_tiny_patch4_window7_224", 224, {"layers.0.blocks.0.attn.relative_position_bias_table"}),
        ("halonet26t", 256, {"stages.2.1.self_attn.pos_embed.height_rel"}),
    ],
)
def test_position_embeddings_and_what_timm_leaves_out_are_not_decayed(name: str, size: int, free: set[str]) -> None:
    model = create_model(name, 10, size, 0.0, 0.0)
    decayed, others = decayed_and_not(model)
    assert free <= others
    assert {each for each, parameter in model.named_parameters() if parameter.ndim <= 1} <= others
    assert all("pos_emb" not in each and "token" not in each for each in decayed)
    assert any(each.endswith("proj.weight") or "conv" in each for each in decayed)


def test_every_trained_parameter_is_in_one_of_the_groups_and_frozen_ones_in_none() -> None:
    model = create_model("test_resnet", 10, 32, 0.0, 0.0)
    first = next(model.parameters())
    first.requires_grad_(False)
    decayed, others = decayed_and_not(model)
    everything = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert decayed | others == everything
    assert len(decayed) + len(others) == len(everything)
    assert decayed == {name for name, p in model.named_parameters() if p.ndim > 1 and p.requires_grad}
