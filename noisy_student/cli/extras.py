"""Checks that the extra which a command needs is installed, and names it if not."""

from importlib.util import find_spec
from typing import Literal

import typer

from noisy_student.cli.terminal import complain

_SERVER = ("alembic", "fastapi", "psutil", "pyarrow", "pydantic_settings", "sqlalchemy", "uvicorn")
_ALL = (*_SERVER, "ray", "timm", "torch")
_WORKER = ("pyarrow", "safetensors", "timm", "torch")
_MODULES = {
    "server": _SERVER,
    "all": _ALL,
    "all,demo": (*_ALL, "mlxtend"),
    "hub": ("huggingface_hub",),
    "worker": _WORKER,
    "worker,export": (*_WORKER, "onnx", "onnxruntime", "onnxscript"),
}


Extra = Literal["server", "all", "all,demo", "hub", "worker", "worker,export"]


def require(extra: Extra) -> None:
    """Checks, without importing it, that the extra is installed. Exits with 2 if it is not."""
    missing = missing_from(extra)
    if missing:
        complain(f"this command needs {', '.join(missing)}: pip install 'noisy-student[{extra}]'")
        raise typer.Exit(2)


def missing_from(extra: Extra) -> list[str]:
    """The modules of the extra that are not installed."""
    return [name for name in _MODULES[extra] if not _is_there(name)]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
