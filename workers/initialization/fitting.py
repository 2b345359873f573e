"""Fits weights to a model: timm's own filters of an architecture, its first convolution, and a new classifier."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn

from workers.initialization.refusals import refusal
from workers.initialization.sources import Source, Tensors
from workers.models.create import model_options

_CHANNELS = 3
_LEAST_SHARE = 0.9
"""Which share of the model's tensors, without its classifier, weights of its own architecture have at least. Some
checkpoints lack the last norm, or what belongs to a classifier in other versions of timm."""
_WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Prefixes of all names in checkpoints of DistributedDataParallel, torch.compile and Lightning."""
_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Fit:
    """What a model takes of some weights. All names are the model's own, if they have such."""

    taken: Tensors
    left: tuple[str, ...]
    new: tuple[str, ...]
    outputs: int | None = None
    """The number of classes of the weights' classifier where it is another than the model's."""


def fitted(source: Source, model: str, classes: tuple[str, ...], image_size: int) -> Fit:
    """Fits the weights to timm's `model` with these classes at that image size.

    The classifier is left where its classes differ: in their names, or in their number if nobody knows their names.
    Raises StageError(USER_ERROR) if the weights are another architecture's, or the model takes nothing of them.
    """
    shapes = _without_memory(model, len(classes), image_size)
    wanted = {name: value.shape for name, value in shapes.state_dict().items()}
    given = _without_wrappers(source.tensors, set(wanted))
    filtered = _filtered(source, model, given, shapes, len(classes), image_size)
    head = _classifier_names(shapes)
    same_classes = source.classes is None or source.classes == classes
    taken: Tensors = {}
    for name, value in filtered.items():
        if name not in wanted or (name in head and not (same_classes and value.shape == wanted[name])):
            continue
        if value.shape != wanted[name]:
            raise refusal(
                f"{source.name} is of another architecture than {model}: its {name} has the shape "
                f"{list(value.shape)}, the model's {list(wanted[name])}"
            )
        taken[name] = value.detach().to(shapes.state_dict()[name].dtype).contiguous().clone()
    left = tuple(name for name in filtered if name not in taken)
    new = tuple(name for name in wanted if name not in taken)
    _check_architecture(source, model, set(wanted), {name for name, _ in shapes.named_parameters()} - head, taken, left)
    return Fit(taken, left, new, _other_outputs(filtered, wanted, head))


def _without_memory(model: str, num_classes: int, image_size: int) -> nn.Module:
    """The model on the meta device: names and shapes."""
    try:
        with torch.device("meta"):
            return _build(model, num_classes, **model_options(model, image_size))
    except Exception as error:
        raise refusal(f"timm cannot build {model} for images of {image_size} pixels: {error}") from error


def _build(model: str, num_classes: int, **options: Any) -> nn.Module:
    built: nn.Module = timm.create_model(model, num_classes=num_classes, **options)
    return built


def _without_wrappers(tensors: Tensors, own_names: set[str]) -> Tensors:
    """The tensors under the names that they had before something wrapped their model."""
    while wrapper := next((each for each in _WRAPPERS if all(name.startswith(each) for name in tensors)), None):
        if any(name.startswith(wrapper) for name in own_names):
            break
        tensors = {name.removeprefix(wrapper): value for name, value in tensors.items()}
    return tensors


def _filtered(
    source: Source, model: str, given: Tensors, shapes: nn.Module, num_classes: int, image_size: int
) -> Tensors:
    """The tensors as timm would load them into the model: with its names, its first convolution and its positions."""
    configuration = source.timm_configuration
    channels = _channels_of(given, configuration.first_conv, shapes)
    overlay: dict[str, Any] = {
        "state_dict": given,
        "source": None,
        "file": None,
        # timm would drop a classifier of another number without a word. Here it is told apart afterwards.
        "num_classes": num_classes,
        "input_size": (channels, *configuration.input_size[1:]),
    }
    options: dict[str, Any] = dict(model_options(model, image_size))
    if channels != _CHANNELS:
        options["in_chans"] = _CHANNELS
    with _kept_from_loading() as found:
        try:
            _build(
                model,
                num_classes,
                pretrained=True,
                pretrained_cfg=dataclasses.asdict(dataclasses.replace(configuration, **overlay)),
                **options,
            )
        except Exception as error:  # the filters are written for weights of their own architecture
            raise refusal(f"timm cannot load {source.name} into {model}: {type(error).__name__}: {error}") from error
    return found[-1] if found else {}


def _channels_of(given: Tensors, first: str | tuple[str, ...] | None, shapes: nn.Module) -> int:
    """How many channels the pictures had on which the weights were trained, by the shape of the first convolution."""
    for name in (first,) if isinstance(first, str) else first or ():
        weight, layer = given.get(f"{name}.weight"), shapes.get_submodule(name)
        if weight is not None and weight.ndim == 4 and isinstance(layer, nn.Conv2d):
            return max(1, weight.shape[1] * _CHANNELS * layer.groups // layer.in_channels)
    return _CHANNELS


@contextmanager
def _kept_from_loading() -> Iterator[list[Tensors]]:
    """Collects what a model would load, after timm's filters, instead of loading it: load_state_dict does not say what
    it took. This changes torch for the whole process, which is why the weights are made ready in one of their own."""
    found: list[Tensors] = []

    def collect(_: nn.Module, tensors: Tensors, strict: bool = True, assign: bool = False) -> Any:
        found.append(dict(tensors))
        return nn.modules.module._IncompatibleKeys([], [])

    original = nn.Module.load_state_dict
    nn.Module.load_state_dict = collect  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]


def _classifier_names(model: Any) -> set[str]:
    """The names of the classifier's tensors. A distilled model has two classifiers."""
    heads = model.get_classifier()
    layers = {id(layer) for head in (heads if isinstance(heads, tuple | list) else [heads]) for layer in head.modules()}
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, layer in model.named_modules()
        if id(layer) in layers
        for name, _ in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    }


def _other_outputs(filtered: Tensors, wanted: Mapping[str, torch.Size], head: set[str]) -> int | None:
    numbers = (
        (len(value), wanted[name][0])
        for name, value in filtered.items()
        if name in head and name in wanted and value.ndim and wanted[name]
    )
    return next((given for given, needed in numbers if given != needed), None)


def _check_architecture(
    source: Source, model: str, wanted: set[str], body: set[str], taken: Tensors, left: tuple[str, ...]
) -> None:
    found = body & set(taken)
    if not found:
        names = ", ".join(list(source.tensors)[:_NAMES_SHOWN])
        raise refusal(f"{model} takes nothing of {source.name}, whose first tensors are {names}")
    if len(found) < _LEAST_SHARE * len(body):
        raise refusal(
            f"{source.name} is of another architecture than {model}: it has {len(found)} of the model's {len(body)} "
            f"weights, and lacks {', '.join(sorted(body - found)[:_NAMES_SHOWN])}"
        )
    if source.architecture_is_certain:
        return
    patterns = {_pattern(name) for name in wanted}
    further = next((name for name in left if name not in wanted and _pattern(name) in patterns), None)
    if further is not None:
        raise refusal(f"{source.name} is of a larger architecture than {model}, which has no {further}")


def _pattern(name: str) -> str:
    """The name with its numbers alike, so that one block of a model is like the next."""
    return re.sub(r"\d+", "#", name)
