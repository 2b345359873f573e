"""Decides where a process computes: on a GPU only if it asked Ray for one."""

import torch


def allotted_device(gpus: float) -> torch.device:
    """The device of a process that asked Ray for `gpus` GPUs, of which a fraction counts: the first GPU that it sees.

    `gpus` decides because, since Ray 2.60, a process that asked for none sees every GPU of its machine
    (RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO): all CPU actors would crowd on the first one.
    """
    return torch.device("cuda" if gpus > 0 and torch.cuda.is_available() else "cpu")


def gpu_memory(device: torch.device) -> dict[str, float]:
    """The most GPU memory that this process's tensors have taken so far, in bytes; nothing without a GPU."""
    return {"gpu_memory_bytes": float(torch.cuda.max_memory_allocated(device))} if device.type == "cuda" else {}
