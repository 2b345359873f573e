"""Writes and reads the files of a trained model: a folder that plain timm can load, and this project's card of it."""

from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import nn

from workers.artifact_io import join_uri, read_bytes, write_bytes
from workers.models.create import model_options
from workers.models.lean_timm import load_zoo
from workers.models.precision import keep_head_in_full_precision
from workers.specs.model_card import MODEL_CARD_FILE, WEIGHTS_FILE, ModelCard
from workers.specs.stages import TrainSpec
from workers.specs.timm_config import TIMM_CONFIG_FILE, TIMM_FIELDS, timm_config


def model_card(spec: TrainSpec, model: nn.Module) -> ModelCard:
    """The card of a model that `spec` trains. Its validation accuracy is filled in later."""
    recipe = spec.recipe
    return ModelCard(
        model=spec.model,
        classes=spec.classes,
        image_size=recipe.image_size,
        mean=recipe.mean,
        std=recipe.std,
        crop="none" if recipe.crop == "none" else "center",
        interpolation=recipe.interpolation,
        crop_fraction=recipe.centre_crop_fraction,
        model_options=model_options(spec.model, recipe.image_size),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        run_id=spec.run_id,
        generation=spec.generation,
        validation_top1=0.0,
        teachers=() if spec.pseudo_labels is None else spec.pseudo_labels.teachers,
        initial_weights=None if spec.prepared is None else spec.prepared.weights,
        gate_on=spec.gate_on,
    )


def write_model(folder_uri: str, model_state: Mapping[str, torch.Tensor], card: ModelCard) -> None:
    """Writes the weights and timm's configuration, then the card: if the card exists, the model is complete."""
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model_state.items()}
    write_bytes(join_uri(folder_uri, WEIGHTS_FILE), safetensors.torch.save(weights))
    write_bytes(join_uri(folder_uri, TIMM_CONFIG_FILE), timm_config(card, _of_the_architecture(card.model)).encode())
    write_bytes(join_uri(folder_uri, MODEL_CARD_FILE), card.model_dump_json(indent=2).encode())


def _of_the_architecture(model: str) -> dict[str, Any]:
    """What timm says of an architecture; nothing if it has no configuration of it."""
    configuration = load_zoo(model).get_pretrained_cfg(model)
    return {} if configuration is None else {name: getattr(configuration, name) for name in TIMM_FIELDS}


def read_card(folder_uri: str) -> ModelCard:
    """Reads model.json. Raises FileNotFoundError if it is missing, and pydantic's ValidationError if it is no card."""
    return ModelCard.model_validate_json(read_bytes(join_uri(folder_uri, MODEL_CARD_FILE)))


def load_state(folder_uri: str) -> dict[str, torch.Tensor]:
    """Reads model.safetensors to the CPU."""
    weights: dict[str, torch.Tensor] = safetensors.torch.load(read_bytes(join_uri(folder_uri, WEIGHTS_FILE)))
    return weights


def load_model(folder_uri: str) -> tuple[nn.Module, ModelCard]:
    """Loads a model to the CPU, in eval mode, so that dropout and drop path are off. Returns it with its card."""
    card = read_card(folder_uri)
    model = load_zoo(card.model).create_model(card.model, num_classes=len(card.classes), **card.model_options)
    model.load_state_dict(load_state(folder_uri))
    return keep_head_in_full_precision(model).eval(), card
