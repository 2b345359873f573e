"""config.json: with it, timm loads a folder of model.safetensors by itself (`timm.create_model("local-dir:...")`)."""

import json
import math
from collections.abc import Mapping
from typing import Any

from workers.specs.model_card import ModelCard

TIMM_CONFIG_FILE = "config.json"
TIMM_FIELDS = ("first_conv", "classifier", "fixed_input_size")
"""What timm must know of an architecture to adapt its weights: to other channels, other classes, another size."""


def timm_config(card: ModelCard, of_the_architecture: Mapping[str, Any] | None = None) -> str:
    """The JSON of a model's config.json, in the layout of timm's models on the Hugging Face Hub (timm.models._hub).

    `of_the_architecture` has timm's own values of TIMM_FIELDS. Without them timm still loads the model as it is, but
    cannot give it another head.
    """
    mode, crop_pct = ("squash", 1.0) if card.crop == "none" else ("center", _crop_pct(card))
    config = {
        "architecture": card.model.partition(".")[0],
        "num_classes": len(card.classes),
        "label_names": list(card.classes),
        **({"model_args": card.model_options} if card.model_options else {}),
        "pretrained_cfg": {
            **(of_the_architecture or {}),
            "num_classes": len(card.classes),
            "input_size": [3, card.image_size, card.image_size],
            "mean": list(card.mean),
            "std": list(card.std),
            "interpolation": card.interpolation,
            "crop_mode": mode,
            "crop_pct": crop_pct,
        },
    }
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _crop_pct(card: ModelCard) -> float:
    """The fraction with which timm resizes the short side to as many pixels as this project does.

    timm takes floor(image_size / crop_pct) (timm.data.transforms_factory); this project rounds.
    """
    short_side = round(card.image_size / card.crop_fraction)
    if math.floor(card.image_size / card.crop_fraction) == short_side:
        return card.crop_fraction
    return card.image_size / (short_side + 0.5)
