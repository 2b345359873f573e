"""Imports one architecture of timm's zoo without importing the other hundred, nor torchvision's datasets and models.

`import timm` takes 4 CPU seconds on top of torch's own 3 (timm 1.0.31): it imports every architecture, through them
torch._dynamo, sympy and torch.distributed.tensor, and torchvision and huggingface_hub, none of which building an
untrained model needs. Each label, evaluate and train process would pay that before its first image; the file of one
architecture and what it imports take 0.1 s.

How: while the architecture's module is imported, light packages stand in for timm's, torchvision's and timm.data's
`__init__` modules (their submodules are the real ones), and optional dependencies are hidden. Afterwards `sys.modules`
is as it was, so a later `import timm` or `import torchvision` gets the whole, real package. Where anything about this
does not fit the installed timm, timm is imported in the ordinary way: slower, and otherwise the same. What this gains,
and how it is turned off: docs/decisions/0023.
"""

import importlib
import importlib.util
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch  # noqa: F401  (outside the context below: torch is never to be imported with stand-ins in place)
from torch import nn

from workers.runtime.internals import library_internals, warn_of_missing

logger = logging.getLogger(__name__)

# timm does without these where they are missing: graph feature extraction (which pulls in torch._dynamo), and the hub.
_HIDDEN = ("torchvision.models.feature_extraction", "huggingface_hub")
_TOUCHED = ("timm", "torchvision", "huggingface_hub")


@dataclass(frozen=True)
class Zoo:
    """The functions of timm that are needed to build an untrained model, and to change its batch norms."""

    create_model: Callable[..., nn.Module]
    get_pretrained_cfg: Callable[[str], Any]
    convert_sync_batchnorm: Callable[[nn.Module], nn.Module]
    """It looks at the classes of layers, which are not those of a zoo that was loaded another time."""


@lru_cache(maxsize=8)
def load_zoo(model: str) -> Zoo:
    """timm's factory, able to build at least `model`. Raises ImportError where timm is not installed."""
    if "timm" not in sys.modules and library_internals().timm_imports:
        try:
            return _lean_zoo(model.partition(".")[0])
        except LookupError as error:
            logger.info("importing the whole of timm for %r: %s", model, error)
        except Exception as error:
            warn_of_missing("timm's package", f"{type(error).__name__}: {error}")
    timm = importlib.import_module("timm")
    return Zoo(
        timm.create_model, timm.get_pretrained_cfg, importlib.import_module("timm.layers").convert_sync_batchnorm
    )


@lru_cache(maxsize=8)
def load_part(name: str) -> ModuleType:
    """A part of timm that builds no model, such as timm.optim. Raises ImportError where timm is not installed."""
    if "timm" not in sys.modules and library_internals().timm_imports:
        try:
            return _lean_part(name)
        except Exception as error:
            warn_of_missing("timm's package", f"{type(error).__name__}: {error}")
    return importlib.import_module(name)


def _lean_part(name: str) -> ModuleType:
    packages = _light_packages(_package_folder("timm"))
    with _stand_ins(packages):
        _fill_timm_data()
        manipulate = importlib.import_module("timm.models._manipulate")
        packages["timm.models"].__dict__["group_parameters"] = manipulate.group_parameters  # timm.optim wants it
        return importlib.import_module(name)


def _lean_zoo(architecture: str) -> Zoo:
    timm_folder = _package_folder("timm")
    module = _defining_module(timm_folder / "models", architecture)
    with _stand_ins(_light_packages(timm_folder)):
        _fill_timm_data()
        importlib.import_module(f"timm.models.{module}")
        factory = importlib.import_module("timm.models._factory")
        entries = importlib.import_module("timm.models._registry")
        layers = importlib.import_module("timm.layers")
    return Zoo(factory.create_model, entries.get_pretrained_cfg, layers.convert_sync_batchnorm)


def _defining_module(folder: Path, architecture: str) -> str:
    definition = re.compile(rf"^@register_model\ndef {re.escape(architecture)}\(", re.MULTILINE)
    for path in sorted(folder.glob("[!_]*.py")):
        if definition.search(path.read_text(encoding="utf-8")):
            return path.stem
    raise LookupError("no file of timm.models defines it by name")


def _light_packages(timm_folder: Path) -> dict[str, ModuleType]:
    packages = {
        "timm": _bare_package("timm", timm_folder),
        "timm.models": _bare_package("timm.models", timm_folder / "models"),
        "timm.data": _bare_package("timm.data", timm_folder / "data"),
    }
    version = importlib.util.spec_from_file_location("timm.version", timm_folder / "version.py")
    packages["timm"].__dict__["__version__"] = _executed(version).__version__
    if "torchvision" not in sys.modules:
        # timm.layers wants torchvision.ops.misc alone, for its FrozenBatchNorm2d.
        torchvision_folder = _package_folder("torchvision")
        packages["torchvision"] = _bare_package("torchvision", torchvision_folder)
        packages["torchvision.models"] = _bare_package("torchvision.models", torchvision_folder / "models")
        packages["torchvision.ops"] = _bare_package("torchvision.ops", torchvision_folder / "ops")
    return packages


def _fill_timm_data() -> None:
    """Architectures want the constants of timm.data (ImageNet's mean and standard deviation), not its readers."""
    constants = vars(importlib.import_module("timm.data.constants"))
    vars(sys.modules["timm.data"]).update({name: value for name, value in constants.items() if name.isupper()})


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    return Path(spec.submodule_search_locations[0])


def _bare_package(name: str, folder: Path) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    return package


def _executed(spec: importlib.machinery.ModuleSpec | None) -> ModuleType:
    if spec is None or spec.loader is None:
        raise ImportError("timm has no version module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _stand_ins(packages: dict[str, ModuleType]) -> Iterator[None]:
    """Puts `packages` into sys.modules, hides _HIDDEN, and leaves sys.modules without a trace of either."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in _TOUCHED}
    sys.modules.update(packages)
    sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]  # None makes an import raise ImportError
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in _TOUCHED]:
            del sys.modules[name]
        sys.modules.update(before)
