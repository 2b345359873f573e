"""Which weights of a model a training leaves as they are."""

from typing import Any, Literal

from torch import nn

from workers.models.create import BATCH_NORMS
from workers.models.lean_timm import load_part
from workers.runtime.stage_reporter import StageError
from workers.specs.reports import FailureReason


def freeze_share(model: nn.Module, share: float) -> None:
    """Freezes the first `share` of the model's parameter tensors, counted from the input."""
    parameters = list(model.parameters())
    for parameter in parameters[: int(share * len(parameters))]:
        parameter.requires_grad_(False)


def freeze_stages(model: nn.Module, stages: int | Literal["all_but_the_head"]) -> None:
    """Freezes the first stages of a timm model, the stem being the first, or all but its classifier.

    The stages are those of the model's coarse `group_matcher`. Raises StageError(USER_ERROR) if the model has no more
    stages than that, or does not say what they are.
    """
    if stages == 0:
        return
    timm_model: Any = model
    if stages == "all_but_the_head":
        model.requires_grad_(False)
        heads = timm_model.get_classifier()
        for head in heads if isinstance(heads, tuple | list) else [heads]:
            head.requires_grad_(True)
        return
    if not hasattr(model, "group_matcher"):
        raise _refusal("timm does not say what the stages of this model are")
    matcher = timm_model.group_matcher(coarse=True)
    names = load_part("timm.models._manipulate").group_parameters(model, matcher)
    # The last group is the classifier, and what belongs to it.
    if stages >= len(names):
        raise _refusal(f"is {stages}, and the model has {len(names) - 1} stages before its classifier")
    frozen = {name for group in sorted(names)[:stages] for name in names[group]}
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)


def frozen_norms(model: nn.Module) -> list[nn.Module]:
    """The normalisation layers that are wholly frozen, whose running statistics must stay as they are too."""
    return [
        layer
        for layer in model.modules()
        if isinstance(layer, BATCH_NORMS)
        and list(layer.parameters())
        and not any(parameter.requires_grad for parameter in layer.parameters())
    ]


def _refusal(why: str) -> StageError:
    return StageError(FailureReason.USER_ERROR, f"recipe.freeze: {why}")
