"""Which precision a device computes with, and that logits are in full precision whatever it is."""

from copy import deepcopy

import pytest
import torch

from workers.models.create import create_model
from workers.models.precision import autocast, fastest_precision, keep_head_in_full_precision, precision_on

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("has_bf16", "capability", "expected"),
    [
        (True, (8, 0), "bf16"),  # A100
        (True, (9, 0), "bf16"),  # H100
        (False, (7, 0), "fp16"),  # V100
        (False, (7, 5), "fp16"),  # T4
        (False, (6, 0), "fp32"),  # P100
    ],
)
def test_auto_takes_what_the_gpu_is_fast_with(has_bf16: bool, capability: tuple[int, int], expected: str) -> None:
    assert fastest_precision(has_bf16, capability) == expected


def test_a_cpu_computes_in_full_precision_unless_it_is_told_otherwise() -> None:
    assert precision_on(CPU) == "fp32"
    assert precision_on(CPU, "bf16") == "bf16"


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "deit_tiny_distilled_patch16_224"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_logits_have_full_precision_under_autocast(name: str, precision: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, 32, 0, 0).eval()
    images = torch.randn(8, 3, 32, 32)
    with torch.no_grad():
        exact = model(images)
        with autocast(CPU, precision):  # type: ignore[arg-type]
            logits = model(images)
    assert not torch.equal(logits, exact), "the body computes in half precision"
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())
    assert not torch.equal(logits, logits.half().float())


def test_a_copy_has_a_head_of_its_own() -> None:
    model = create_model("test_vit", 5, 32, 0, 0).eval()
    copy = deepcopy(model)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        copy.get_classifier().weight.zero_()  # type: ignore[operator]
        copy.get_classifier().bias.zero_()  # type: ignore[operator]
        assert float(copy(images).abs().max()) == 0
        assert float(model(images).abs().max()) > 0


def test_a_head_is_changed_once_and_keeps_its_names() -> None:
    model = create_model("test_vit", 5, 32, 0, 0)
    names = set(model.state_dict())
    kind = type(model.get_classifier())  # type: ignore[operator]
    assert type(keep_head_in_full_precision(model).get_classifier()) is kind  # type: ignore[operator]
    assert set(model.state_dict()) == names
    assert kind.__name__ == "Linear"


def test_a_model_whose_shapes_alone_are_computed_gives_the_shape_of_its_logits() -> None:
    model = keep_head_in_full_precision(create_model("test_resnet", 7, 32, dropout=0.0, drop_path=0.0)).to("meta")

    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 7)
