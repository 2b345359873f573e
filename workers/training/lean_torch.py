"""Puts off the import of torch._dynamo until something is compiled.

Making an optimiser, a step of it, and making DistributedDataParallel each import torch._dynamo: two seconds of a core
in every worker of every train stage (torch 2.11 to 2.15). Where nothing is compiled, they ask it for what needs
no compiler. The stand-in answers those, and at any other question makes way for the real module. What that gains, and
how it is turned off: docs/decisions/0023.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from workers.runtime.internals import library_internals, warn_of_missing

_NAME = "torch._dynamo"


def put_off_dynamo() -> None:
    """For this process. Does nothing where torch._dynamo has been imported, or where it is not wanted."""
    if not library_internals().torch_dynamo or _NAME in sys.modules:
        return
    if importlib.util.find_spec(_NAME) is None:
        warn_of_missing("torch's compiler", f"there is no module {_NAME}")
        return
    sys.modules[_NAME] = _StandIn(_NAME)


class _StandIn(ModuleType):
    """Answers as the real module does outside of a compilation."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.disable = _as_it_is
        self.graph_break = _nothing
        self.utils = _Part("utils", get_optimize_ddp_mode=lambda: "ddp_optimizer")  # torch's default
        self.trace_rules = _Part("trace_rules", clear_lru_cache=_nothing)
        self.config = _Part("config")  # timm.optim sets a limit in it

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # `inspect` asks all modules for theirs, when timm.optim registers its operations
            raise AttributeError(name)
        return getattr(_real_module(), name)


class _Part:
    """Stands in for one of its modules in the same way."""

    def __init__(self, name: str, **answers: Callable[[], Any]) -> None:
        self._name = name
        self.__dict__.update(answers)

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_real_module(), self._name), name)


def _real_module() -> ModuleType:
    stand_in = sys.modules.get(_NAME)
    if not isinstance(stand_in, _StandIn):
        return importlib.import_module(_NAME)
    del sys.modules[_NAME]
    vars(torch).pop("_dynamo", None)
    real = importlib.import_module(_NAME)
    for name, value in vars(stand_in.config).items():
        if not name.startswith("_"):
            setattr(real.config, name, value)
    return real


def _nothing() -> None:
    """What a question about compiled code comes to where there is none."""


def _as_it_is(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
    """What torch._dynamo.disable makes of a function, where nothing is compiled."""
    return function
