"""Writes timm.json: what the control plane needs to know about timm's models, so that it needs no torch.

Run it by hand after an upgrade of timm: `make model-catalog`. It builds every model without memory (on the meta
device), so that a model with billions of parameters costs as little as a small one. It takes about twenty minutes.
"""

import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

CATALOG_PATH = Path(__file__).with_name("timm.json")
# A rate that no model has as its default, so that its presence shows that the argument took effect.
PROBE_RATE = 0.345


def describe(timm: Any, torch: Any, name: str) -> dict[str, Any] | None:
    """Returns the catalogue's row for one model, or None if timm cannot build it."""
    with torch.device("meta"):
        model, options = _build(timm, name)
        if model is None:
            return None
        with_seven_classes = _parameters(model)
        # Builds a second model, because reset_classifier drops the second head of distilled models.
        per_class = _parameters(timm.create_model(name, num_classes=8, **options)) - with_seven_classes
    return {
        "parameters": with_seven_classes - 7 * per_class,
        "parameters_per_class": per_class,
        "drop_path": any(
            getattr(module, "drop_prob", None)
            for module in model.modules()
            if type(module).__name__.startswith("DropPath")
        ),
        "dropout": getattr(model, "drop_rate", 0) == PROBE_RATE
        or any(isinstance(module, torch.nn.Dropout) and module.p == PROBE_RATE for module in model.modules()),
        "img_size": "img_size" in options,
    }


def _build(timm: Any, name: str) -> tuple[Any, dict[str, Any]]:
    noise = {"drop_path_rate": PROBE_RATE, "drop_rate": PROBE_RATE}
    attempts: list[dict[str, Any]] = [{**noise, "img_size": 224}, noise, {"drop_rate": PROBE_RATE}, {}]
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
