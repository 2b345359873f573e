"""Builds untrained timm models with the noise inside a model: dropout and drop path (Xie et al., section 2)."""

from torch import nn

from workers.models.lean_timm import load_zoo
from workers.models.precision import keep_head_in_full_precision
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""The layers that keep running statistics of batches; timm's own are subclasses."""


def create_model(name: str, num_classes: int, image_size: int, dropout: float, drop_path: float) -> nn.Module:
    """A timm model with fresh weights, in training mode.

    `dropout` is the rate on the classifier's input. `drop_path` is the rate of stochastic depth in the last layer; it
    falls linearly towards the first. The paper takes 0.5, and a survival of 0.8, so 0.2 (Xie et al., section 3.1).
    Raises StageError(USER_ERROR) if timm has no such model, or the model refuses the image size or the noise.
    """
    noise = {"drop_rate": dropout, "drop_path_rate": drop_path}
    try:
        model = _build(name, num_classes, {**model_options(name, image_size), **noise}, noise)
    except Exception as error:
        asked = f"image size {image_size}, drop_rate={dropout}, drop_path_rate={drop_path}"
        raise StageError(FailureReason.USER_ERROR, f"timm cannot build {name} ({asked}): {error}") from error
    return keep_head_in_full_precision(model)


def model_options(name: str, image_size: int) -> dict[str, int]:
    """More arguments of timm.create_model: `img_size` for models that are built for one size, such as ViTs."""
    configuration = load_zoo(name).get_pretrained_cfg(name)
    return {"img_size": image_size} if configuration is not None and configuration.fixed_input_size else {}


def _build(name: str, num_classes: int, options: dict[str, float], noise: dict[str, float]) -> nn.Module:
    """Calls timm with all rates, also those of 0, because some architectures drop by default (ghostnet, rexnet).

    Other architectures refuse an option that they do not have, even with a rate of 0, and are called again without it.
    """
    build = load_zoo(name).create_model
    idle = [option for option in ("drop_path_rate", "drop_rate") if noise[option] == 0]
    for left_out in [[], *([option] for option in idle)]:
        try:
            return build(name, num_classes=num_classes, **{k: v for k, v in options.items() if k not in left_out})
        except TypeError:
            continue
    return build(name, num_classes=num_classes, **{k: v for k, v in options.items() if k not in idle})
