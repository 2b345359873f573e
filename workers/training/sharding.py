"""A model sharded over the workers of its training, for models that do not fit on one: torch's `fully_shard` (FSDP2).

Each worker holds a part of every weight, and the whole weights of a group of layers only while that group computes
(Zhao et al. 2023, "PyTorch FSDP"; docs.pytorch.org, torch.distributed.fsdp.fully_shard).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import nn

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Models call what is in them, not always the containers themselves."""
_LEAST_SHARE = 0.01
"""A group of layers with less than this share of the model's weights costs more messages than it saves memory."""
_LARGE_SHARE = 0.125
"""A group of layers with more than this share should not be gathered as a whole."""


def shard(model: nn.Module, device: torch.device, workers: int) -> None:
    """Shards a model that lies whole on the CPU, in place. All workers call it with the same weights.

    The parameters become DTensors on the workers' devices, group by group, so that no device ever holds all of them.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if device.type == "cuda":
        torch.cuda.set_device(device)  # the mesh takes the current one
    mesh = init_device_mesh(device.type, (workers,))
    for layers in [*layer_groups(model), model]:
        fully_shard(layers, mesh=mesh)


def layer_groups(model: nn.Module) -> list[nn.Module]:
    """The layers whose weights are gathered together, the inner ones first; the model itself gathers the others.

    They are blocks or stages of a timm model: from a least share of the weights on, and with groups of their own within
    them if they have a large share. Layers that share weights with others are no group, because the others would find
    parts of them. Neither are single layers within a block, whose weights some blocks use without calling the layer.
    """
    homes = _homes_of_weights(model)
    weights = sum(parameter.numel() for parameter in model.parameters())

    def within(layers: nn.Module, name: str) -> Iterator[nn.Module]:
        for child_name, child in layers.named_children():
            prefix = f"{name}{child_name}."
            share = sum(parameter.numel() for parameter in child.parameters()) / weights
            if isinstance(child, _CONTAINERS):
                yield from within(child, prefix)
            elif share >= _LEAST_SHARE and (isinstance(layers, _CONTAINERS) or layers is model or _has_layers(child)):
                if share > _LARGE_SHARE:
                    yield from within(child, prefix)
                if all(home.startswith(prefix) for parameter in child.parameters() for home in homes[parameter]):
                    yield child

    return list(within(model, ""))


def _has_layers(layers: nn.Module) -> bool:
    return next(layers.children(), None) is not None


def _homes_of_weights(model: nn.Module) -> dict[nn.Parameter, list[str]]:
    homes: dict[nn.Parameter, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        homes[parameter].append(name)
    return homes


def is_sharded(model: nn.Module) -> bool:
    """Whether each pass through the model is one of all workers together."""
    return any(_is_sharded(parameter) for parameter in model.parameters())


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that this worker holds, which is all of it if it is not sharded."""
    return tensor.to_local() if _is_sharded(tensor) else tensor


def gathered(values: Any, keep: bool = True) -> Any:
    """Nested dicts and lists of values with every sharded tensor whole, on the CPU. Other values stay as they are.

    If there are sharded tensors, all workers must call it with the same ones. They are gathered one by one. A worker
    that is not to `keep` them gets empty tensors in their place.
    """
    if isinstance(values, Mapping):
        return {name: gathered(value, keep) for name, value in values.items()}
    if isinstance(values, list):
        return [gathered(value, keep) for value in values]
    if not isinstance(values, torch.Tensor) or not _is_sharded(values):
        return values
    whole = values.full_tensor().detach()
    return whole.cpu() if keep else torch.empty(0)


def load_whole_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Loads whole weights, with strict names, into a model that may be sharded. Each worker takes its part of them."""
    own = model.state_dict() if is_sharded(model) else {}
    model.load_state_dict({name: _part_like(own.get(name), value) for name, value in weights.items()})


def load_whole_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Loads the gathered state of an optimizer, whose parameters may be sharded. Each worker takes its part of it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    parts = {
        index: {name: _part_like(parameters[index], value) for name, value in values.items()}
        for index, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": parts})


def _part_like(own: torch.Tensor | None, whole: Any) -> Any:
    """The part of `whole` that this worker holds of its own tensor `own`; `whole` if that is of another shape."""
    if own is None or not isinstance(whole, torch.Tensor) or own.shape != whole.shape:
        return whole
    if not _is_sharded(own):
        # Fused optimizers take a weight's elements and those of its state as they lie in memory. The kernels of a
        # model that is not sharded lie in another order (channels last).
        return torch.empty_like(own, dtype=whole.dtype).copy_(whole)
    from torch.distributed.tensor import distribute_tensor

    # Every worker has read the whole tensor: there is nothing to send.
    return distribute_tensor(whole.contiguous(), own.device_mesh, own.placements, src_data_rank=None)


def _is_sharded(tensor: torch.Tensor) -> "TypeGuard[DTensor]":
    return hasattr(tensor, "full_tensor")  # without an import of DTensor's package, which takes a second
