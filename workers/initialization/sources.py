"""Where the weights of each kind of init come from, and what is known about them before a model is built."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import timm
import torch
from pydantic import ValidationError
from timm.models import PretrainedCfg, get_pretrained_cfg

from workers.artifact_io import join_uri, read_bytes, read_bytes_if_there
from workers.data.dataset_roots import DatasetRoots, OutsideOfRoots, plain_dataset_uri
from workers.initialization.checkpoints import read_checkpoint
from workers.initialization.hub import repository_configuration, repository_weights, weights_at
from workers.initialization.refusals import refusal
from workers.models.files import read_card
from workers.specs.initialization import (
    HUB_PREFIX,
    FileInit,
    InputConfiguration,
    ModelInit,
    PretrainedInit,
    TeacherInit,
)
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE, ModelCard, model_id
from workers.specs.stages import TrainSpec

Tensors = dict[str, torch.Tensor]
_TIMM_CONFIGURATION_FILE = "config.json"
_ABOUT_PICTURES = ("input_size", "mean", "std", "crop_pct", "crop_mode", "interpolation")


@dataclass(frozen=True)
class Source:
    """Weights that were found."""

    name: str
    tensors: Tensors
    digest: str | None
    """SHA-256 of their file; None if there is no such file."""
    classes: tuple[str, ...] | None
    """The names of the classes of their classifier, in its order; None if nobody knows."""
    timm_configuration: PretrainedCfg
    """What timm needs to know to fit them: the names of their classifier and of their first convolution."""
    configuration: InputConfiguration
    architecture_is_certain: bool = True
    """Whether more is known than the names of the tensors."""


def open_source(spec: TrainSpec) -> Source:
    """The weights that `spec` begins with. Raises StageError(USER_ERROR), and OSError of a store that fails."""
    match spec.recipe.init:
        case TeacherInit() | ModelInit():
            return _of_the_service(spec)
        case FileInit() as init:
            return _of_a_file(spec, init.uri)
        case PretrainedInit(name=name):
            if name is not None and name.startswith(HUB_PREFIX):
                return _of_the_hub(spec, name.removeprefix(HUB_PREFIX))
            return _of_timm(spec, name or spec.model)
        case _:
            raise ValueError("random weights come from nowhere")


def _of_the_service(spec: TrainSpec) -> Source:
    folder = spec.initial_model_uri
    assert folder is not None
    try:
        card = read_card(folder)
    except FileNotFoundError as error:
        raise refusal(f"there is no model at {folder} to begin with") from error
    if card.model != spec.model:
        raise refusal(f"the model at {folder} to begin with is a {card.model}, not a {spec.model}")
    data = read_bytes(join_uri(folder, WEIGHTS_FILE))
    return Source(
        name=model_id(card.run_id, card.generation),
        tensors=safetensors.torch.load(data),
        digest=hashlib.sha256(data).hexdigest(),
        classes=card.classes,
        timm_configuration=_registered(spec.model),
        configuration=_of_card(card),
    )


def _of_a_file(spec: TrainSpec, given: str) -> Source:
    roots = DatasetRoots(spec.file_roots)
    try:
        uri = plain_dataset_uri(given)
        roots.check(uri)
    except OutsideOfRoots as error:
        raise refusal(f"recipe.init.uri: {error}") from error
    return source_of_file(uri, spec.model, roots)


def architecture_beside(uri: str, roots: DatasetRoots) -> str | None:
    """The timm model of the weights in a file, as the file beside it says; None if there is none that says it."""
    card = _card_beside(uri, roots)
    said = card.model if card is not None else _timm_configuration_beside(uri, roots).get("architecture")
    return None if said is None else str(said)


def source_of_file(uri: str, model: str, roots: DatasetRoots, most_bytes: int | None = None) -> Source:
    """The weights in a file of up to `most_bytes`, for the timm model `model`. Raises StageError like `open_source`."""
    architecture = architecture_beside(uri, roots)
    if architecture is not None and architecture != model:
        raise refusal(f"{uri} holds the weights of a {architecture}, not of a {model}, says the file beside it")
    checkpoint = read_checkpoint(uri, most_bytes)
    card, beside = _card_beside(uri, roots), _timm_configuration_beside(uri, roots)
    known, configuration, labels = _understood(uri, model, beside)
    return Source(
        name=uri,
        tensors=checkpoint.tensors,
        digest=checkpoint.digest,
        classes=labels if card is None else card.classes,
        timm_configuration=known,
        configuration=configuration if card is None else _of_card(card),
        architecture_is_certain=architecture is not None,
    )


def _of_timm(spec: TrainSpec, name: str) -> Source:
    configuration = get_pretrained_cfg(name)
    if name.partition(".")[0] != spec.model or configuration is None or not configuration.has_weights:
        known = timm.list_pretrained(f"{spec.model}.*") or ["none"]
        raise refusal(f"recipe.init.name: timm has no weights {name} for {spec.model}; it has {', '.join(known)}")
    if configuration.hf_hub_id:
        found = repository_weights(configuration.hf_hub_id, configuration.hf_hub_filename)
    else:
        found = weights_at(name, str(configuration.url))
    return Source(found.name, found.tensors, found.digest, None, configuration, of_timm(configuration))


def _of_the_hub(spec: TrainSpec, repository: str) -> Source:
    said = repository_configuration(repository)
    architecture = said.get("architecture")
    if architecture != spec.model:
        what = "is no model of timm" if architecture is None else f"is a {architecture}, not a {spec.model}"
        raise refusal(f"recipe.init.name: {HUB_PREFIX}{repository} {what}")
    known, configuration, labels = _understood(f"{HUB_PREFIX}{repository}", spec.model, said)
    found = repository_weights(repository)
    return Source(found.name, found.tensors, found.digest, labels, known, configuration)


def of_timm(configuration: PretrainedCfg) -> InputConfiguration:
    """How timm prepares pictures for these weights, in the words of a recipe.

    A `squash` of the whole picture is a recipe's crop `none`. Pictures have three channels here: of weights for one,
    each gets its mean and deviation.
    """
    channels = configuration.input_size[0]
    mean, std = (
        tuple(float(value) for value in (values if len(values) == 3 else tuple(values)[:1] * 3))
        for values in (configuration.mean, configuration.std)
    )
    assert channels >= 1
    return InputConfiguration(
        image_size=int(configuration.input_size[-1]),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        crop="none" if configuration.crop_mode == "squash" else "random_resized",
        test_crop_fraction=min(1.0, float(configuration.crop_pct)),
        interpolation="bilinear" if configuration.interpolation == "bilinear" else "bicubic",
    )


def _of_card(card: ModelCard) -> InputConfiguration:
    return InputConfiguration(
        image_size=card.train_image_size or card.image_size,
        mean=card.mean,
        std=card.std,
        crop="none" if card.crop == "none" else "random_resized",
        test_crop_fraction=card.crop_fraction,
        interpolation=card.interpolation,
    )


def _registered(model: str) -> PretrainedCfg:
    return get_pretrained_cfg(model) or PretrainedCfg(architecture=model)


def _understood(
    name: str, model: str, said: Mapping[str, Any]
) -> tuple[PretrainedCfg, InputConfiguration, tuple[str, ...] | None]:
    """timm's own configuration of the architecture with what a config.json says about pictures, the same in the words
    of a recipe, and the names of the classes if it has them. Raises StageError if it is not as timm writes it."""
    try:
        given = said.get("pretrained_cfg", said)
        about_pictures = {field: given[field] for field in _ABOUT_PICTURES if given.get(field) is not None}
        known = dataclasses.replace(_registered(model), **about_pictures)
        labels = said.get("label_names") or given.get("label_names")
        return known, of_timm(known), tuple(map(str, labels)) if labels else None
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise refusal(f"the config.json of {name} is not as timm writes it: {error}") from error


def _card_beside(uri: str, roots: DatasetRoots) -> ModelCard | None:
    data = _beside(uri, MODEL_CARD_FILE, roots)
    try:
        return None if data is None else ModelCard.model_validate_json(data)
    except ValidationError:
        return None  # another program's file of that name


def _timm_configuration_beside(uri: str, roots: DatasetRoots) -> Mapping[str, Any]:
    data = _beside(uri, _TIMM_CONFIGURATION_FILE, roots)
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "architecture" in found else {}


def _beside(uri: str, name: str, roots: DatasetRoots) -> bytes | None:
    path, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    sibling = f"{path.rpartition('/')[0]}/{name}{mark}{query}"
    try:
        roots.check(sibling)
    except OutsideOfRoots:
        return None
    return read_bytes_if_there(sibling)
