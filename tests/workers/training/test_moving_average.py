import pytest
import torch
from torch import nn

from workers.training.moving_average import MovingAverage


def model_of(value: float) -> nn.BatchNorm1d:
    model = nn.BatchNorm1d(2)
    with torch.no_grad():
        for tensor in (model.weight, model.bias, model.running_mean, model.running_var):
            tensor.fill_(value)
    return model


def average_of(before: float, decay: float, after: nn.Module) -> MovingAverage:
    """The moving average of a model that was then loaded with the state `after`."""
    model = model_of(before)
    average = MovingAverage(model, decay)
    model.load_state_dict(after.state_dict())
    return average


def test_the_average_moves_by_one_minus_the_decay() -> None:
    average = average_of(0.0, 0.9, model_of(1.0))
    average.update(step=10_000)
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert getattr(average.model, name).tolist() == pytest.approx([0.1, 0.1])


def test_while_training_is_young_the_average_follows_fast() -> None:
    average = average_of(0.0, 0.999, model_of(1.0))
    average.update(step=0)
    assert average.model.get_parameter("weight").tolist() == pytest.approx([0.9, 0.9])  # a decay of 1/10


def test_counters_are_copied_and_not_averaged() -> None:
    model = model_of(1.0)
    assert model.num_batches_tracked is not None
    model.num_batches_tracked.fill_(7)
    average = average_of(0.0, 0.9, model)
    average.update(step=3)
    assert int(average.model.get_buffer("num_batches_tracked")) == 7


def test_a_model_without_counters_is_averaged_too() -> None:
    model = nn.Linear(2, 2)
    average = MovingAverage(model, decay=0.9)
    average.update(step=3)
    assert torch.equal(average.model.get_parameter("weight"), model.weight)


def test_the_average_is_in_eval_mode_and_learns_nothing_itself() -> None:
    model = model_of(0.0).train()
    average = MovingAverage(model, decay=0.9)
    assert not average.model.training
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
