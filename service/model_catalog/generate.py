"""Writes timm.json: what the control plane needs to know about timm's models, so that it needs no torch.

Run it by hand after an upgrade of timm: `make model-catalog`. It builds and runs every model without memory (on the
meta device), so that a model with billions of parameters costs as little as a small one. It takes half an hour.
"""

import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

from service.model_catalog.observed_noise import DROP_PATH, DROPOUT, observed_noise

CATALOG_PATH = Path(__file__).with_name("timm.json")


def describe(timm: Any, torch: Any, name: str) -> dict[str, Any] | None:
    """Returns the catalogue's row for one model, or None if timm cannot build it."""
    with torch.device("meta"):
        model, options = _build(timm, name)
        if model is None:
            return None
        with_seven_classes = _parameters(model)
        # Builds a second model, because reset_classifier drops the second head of distilled models.
        per_class = _parameters(timm.create_model(name, num_classes=8, **options)) - with_seven_classes
        # It runs at its own size: some models take `img_size` and then fail at it.
        own_size = {option: value for option, value in options.items() if option != "img_size"}
        runnable = timm.create_model(name, num_classes=7, **own_size)
    noise = observed_noise(runnable)
    return {
        "parameters": with_seven_classes - 7 * per_class,
        "parameters_per_class": per_class,
        "drop_path": bool(noise.drop_path_rates),
        "drop_path_falls": noise.drop_path_falls,
        "dropout": noise.dropout,
        "dropout_on_classifier": noise.dropout_on_classifier,
        "img_size": "img_size" in options,
        "weights": tuple(tagged.partition(".")[2] for tagged in timm.list_pretrained(f"{name}.*")),
    }


def _build(timm: Any, name: str) -> tuple[Any, dict[str, Any]]:
    noise = {"drop_path_rate": DROP_PATH, "drop_rate": DROPOUT}
    attempts: list[dict[str, Any]] = [{**noise, "img_size": 224}, noise, {"drop_rate": DROPOUT}, {}]
    for options in attempts:
        try:
            return timm.create_model(name, num_classes=7, **options), options
        except Exception as error:
            last = error
    print(f"left out {name}: {last}", file=sys.stderr)
    return None, {}


def _parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Describes every model that the installed timm lists."""
    logging.disable(logging.WARNING)
    timm, torch = importlib.import_module("timm"), importlib.import_module("torch")
    models: dict[str, Any] = {}
    for name in timm.list_models():
        try:
            row = describe(timm, torch, name)
        except Exception as error:
            print(f"left out {name}: {error}", file=sys.stderr)
            continue
        if row is not None:
            models[name] = row
    rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(models.items()))
    text = f'{{\n  "timm_version": {json.dumps(timm.__version__)},\n  "models": {{\n{rows}\n  }}\n}}\n'
    CATALOG_PATH.write_text(text, encoding="utf-8")
    print(f"{len(models)} models")


if __name__ == "__main__":
    main()
