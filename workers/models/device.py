"""Where a process computes: on a GPU only where it asked Ray for one."""

import torch


def allotted_device(gpus: float) -> torch.device:
    """The device of a process that asked Ray for so many GPUs (a share of one counts): the first that it may see.

    The number must be said: since Ray 2.60 a process that asked for none sees every GPU of its machine, and all CPU
    actors would crowd on the first one (RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO).
    """
    return torch.device("cuda" if gpus > 0 and torch.cuda.is_available() else "cpu")
