"""Runs the smallest model of each of timm's families once, and counts those whose noise is as the catalogue says.

A family is a module of timm and the first part of a model's name; each `test_...` model is one of its own. For each
model of a family that differs, a line says what was seen. One core, about three minutes.
"""

import importlib
import logging
import re
import warnings
from typing import Any

from benchmarks.results import row, save
from service.model_catalog import CatalogModel, load_catalog
from service.model_catalog.generate import describe

COMMAND = "python -m benchmarks.method.families"


def main() -> None:
    """Checks every family, and writes the row."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    timm, torch = importlib.import_module("timm"), importlib.import_module("torch")
    checked = [name for name in smallest_of_families(timm) if _is_as_seen(timm, torch, name, load_catalog()[name])]
    save([row("method.families_checked", [len(checked)], "families of timm whose smallest model was run", "", COMMAND)])


def smallest_of_families(timm: Any) -> list[str]:
    """The smallest model of each family of the catalogue."""
    families: dict[tuple[str, str], str] = {}
    for name, model in sorted(load_catalog().items(), key=lambda item: item[1].parameters):
        module = timm.models._registry._model_to_module[name]
        first = name if name.startswith("test_") else re.split(r"[_\d]", name)[0]
        families.setdefault((module, first), name)
        assert model.parameters >= load_catalog()[families[module, first]].parameters
    return list(families.values())


def _is_as_seen(timm: Any, torch: Any, name: str, expected: CatalogModel) -> bool:
    seen = describe(timm, torch, name)
    if seen != expected.model_dump():
        print(f"{name}: the catalogue says {expected.model_dump()}, seen is {seen}", flush=True)
    return seen == expected.model_dump()


if __name__ == "__main__":
    main()
