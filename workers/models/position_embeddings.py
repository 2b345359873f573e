"""Adapts the weights of a model that was built for one picture size to another."""

from collections.abc import Mapping

import torch
from torch import nn

from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason


def fitted_state(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights in the shapes of `model`. Absolute position embeddings are interpolated if their sizes differ.

    Interpolation is timm's resample_abs_pos_embed. Raises StageError(USER_ERROR) if another weight has another shape.
    """
    wanted = model.state_dict()
    fitted: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        shape = wanted[name].shape if name in wanted else value.shape
        fitted[name] = value if value.shape == shape else _interpolated(model, name, value)
    return fitted


def _interpolated(model: nn.Module, name: str, value: torch.Tensor) -> torch.Tensor:
    patches = getattr(model, "patch_embed", None)
    if not name.endswith("pos_embed") or patches is None or value.ndim != 3:
        message = f"the weight {name} depends on the picture's size: this model cannot be used at another one"
        raise StageError(FailureReason.USER_ERROR, message)
    from timm.layers import resample_abs_pos_embed

    prefix = 0 if getattr(model, "no_embed_class", False) else getattr(model, "num_prefix_tokens", 1)
    resized: torch.Tensor = resample_abs_pos_embed(value, new_size=patches.grid_size, num_prefix_tokens=prefix)
    return resized
