"""Builds untrained timm models, with the noise that lives inside a model: dropout and drop path."""

from torch import nn

from workers.models.lean_timm import load_zoo
from workers.specs.stages import FailureReason
from workers.stage_reporter import StageError


def create_model(name: str, num_classes: int, image_size: int, dropout: float, drop_path: float) -> nn.Module:
    """A timm model with fresh weights, in training mode.

    `dropout` acts on the classifier's input; `drop_path` is the last layer's rate, falling linearly towards the first.
    Raises StageError(USER_ERROR) where timm has no such model, or the model refuses the image size or the noise.
    """
    # Models without the option refuse even a zero.
    noise = {"drop_rate": dropout, "drop_path_rate": drop_path}
    options = {**model_options(name, image_size), **{option: rate for option, rate in noise.items() if rate > 0}}
    try:
        return load_zoo(name).create_model(name, num_classes=num_classes, **options)
    except Exception as error:
        asked = ", ".join(f"{option}={value}" for option, value in options.items())
        raise StageError(FailureReason.USER_ERROR, f"timm cannot build {name} ({asked or 'plain'}): {error}") from error


def model_options(name: str, image_size: int) -> dict[str, int]:
    """Further arguments of timm.create_model: `img_size` for models that are built for one size, such as ViTs."""
    configuration = load_zoo(name).get_pretrained_cfg(name)
    return {"img_size": image_size} if configuration is not None and configuration.fixed_input_size else {}
