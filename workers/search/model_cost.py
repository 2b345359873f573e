"""Counts what a student costs: its parameters, and its multiply-adds for one image."""

from collections.abc import Mapping, Sequence

import ray

from workers.specs.base import Frozen
from workers.specs.search import ExcludedModel, SearchSettings


class ModelCost(Frozen):
    """Parameters, and multiply-adds of a forward pass of one image."""

    parameters: int
    multiply_adds: int


def measure_costs(
    models: Sequence[str], num_classes: int, image_size: int, node_labels: Mapping[str, str]
) -> dict[str, ModelCost]:
    """The cost of each model, by name.

    A Ray task counts on torch's meta device: nothing is computed, and the driver needs no torch. Raises
    StageError(USER_ERROR) for a model that timm cannot build at `image_size`.
    """
    costs: dict[str, ModelCost] = ray.get(
        ray.remote(num_cpus=1, label_selector=dict(node_labels))(_measure).remote(list(models), num_classes, image_size)
    )
    return costs


def within_limits(
    costs: dict[str, ModelCost], settings: SearchSettings
) -> tuple[dict[str, ModelCost], tuple[ExcludedModel, ...]]:
    """The models within the limits, in their order, and the others with the limit that each one exceeds."""
    allowed: dict[str, ModelCost] = {}
    excluded: list[ExcludedModel] = []
    for model, cost in costs.items():
        reason = _over(cost, settings)
        if reason is None:
            allowed[model] = cost
            continue
        excluded.append(
            ExcludedModel(
                model=model, model_parameters=cost.parameters, multiply_adds=cost.multiply_adds, reason=reason
            )
        )
    return allowed, tuple(excluded)


def _over(cost: ModelCost, settings: SearchSettings) -> str | None:
    if settings.max_parameters is not None and cost.parameters > settings.max_parameters:
        return f"max_parameters allows {settings.max_parameters:,}"
    if settings.max_multiply_adds is not None and cost.multiply_adds > settings.max_multiply_adds:
        return f"max_multiply_adds allows {settings.max_multiply_adds:,}"
    return None


def _measure(models: list[str], num_classes: int, image_size: int) -> dict[str, ModelCost]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from workers.models.create import create_model

    costs: dict[str, ModelCost] = {}
    for name in models:
        model = create_model(name, num_classes, image_size, dropout=0.0, drop_path=0.0).eval().to("meta")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, image_size, image_size, device="meta"))
        # The counter counts a multiplication and an addition as two operations.
        costs[name] = ModelCost(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            multiply_adds=counter.get_total_flops() // 2,
        )
    return costs
