"""In which precision a network computes: what the device can, and what always stays in full precision."""

from typing import Any, Literal

import torch
from torch import nn

from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason

Precision = Literal["fp32", "fp16", "bf16"]

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_TENSOR_CORES = 7
"""The first major compute capability with tensor cores, for which fp16 is faster than fp32 (V100, T4)."""


def precision_on(device: torch.device, asked: Precision | Literal["auto"] = "auto") -> Precision:
    """The precision to compute with on `device`, which `asked` names or leaves to the device.

    Raises StageError(USER_ERROR) if bf16 is asked for, and the GPU only emulates it.
    """
    if device.type != "cuda":
        return "fp32" if asked == "auto" else asked
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if asked == "bf16" and not has_bf16:
        raise StageError(
            FailureReason.USER_ERROR,
            f"recipe.precision: {torch.cuda.get_device_name(device)} does not compute with bf16: take auto or fp16",
        )
    return fastest_precision(has_bf16, torch.cuda.get_device_capability(device)) if asked == "auto" else asked


def fastest_precision(has_bf16: bool, capability: tuple[int, int]) -> Precision:
    """The fastest precision of a GPU of that compute capability (docs.nvidia.com, CUDA, "Compute Capabilities")."""
    if has_bf16:
        return "bf16"
    return "fp16" if capability[0] >= _TENSOR_CORES else "fp32"


def autocast(device: torch.device, precision: Precision, keeps_casts: bool = True) -> torch.autocast:
    """The context in which a network computes with `precision`. It may keep the weights' casts until it ends."""
    return torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32", cache_enabled=keeps_casts)


def keep_head_in_full_precision(model: nn.Module) -> nn.Module:
    """Makes the classifier of a timm model compute in fp32 whatever the rest of the model does, and returns the model.

    Logits of half precision have 8 or 11 significant bits: a doubt of 1 in 1,000 would be one of four values.
    """
    heads = model.get_classifier() if hasattr(model, "get_classifier") else None  # type: ignore[operator]
    for head in heads if isinstance(heads, tuple | list) else [heads]:
        if isinstance(head, nn.Module) and not isinstance(head, nn.Identity | _FullPrecision):
            # Another class instead of another forward function: copies of the model keep it, with their own weights.
            head.__class__ = type(head.__class__.__name__, (_FullPrecision, head.__class__), {})
    return model


class _FullPrecision(nn.Module):
    """Leaves autocast, and takes its input in fp32."""

    def forward(self, features: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        if not torch.amp.is_autocast_available(features.device.type):  # such as meta, which computes shapes alone
            return super().forward(features.float(), *arguments, **options)  # type: ignore[no-any-return]
        with torch.autocast(features.device.type, enabled=False):
            logits: torch.Tensor = super().forward(features.float(), *arguments, **options)
        return logits
