"""Reads a file of weights without running any of its code: safetensors, or a checkpoint of torch."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from pyarrow import fs
from timm.models import load_state_dict

from workers.artifact_io import open_filesystem
from workers.initialization.refusals import first_line, refusal
from workers.specs.initialization import WEIGHT_SUFFIXES

_PIECE_BYTES = 16 << 20
_BLOCKED = "weights_only=True blocked"
"""How timm begins its refusal of a pickle that is damaged, or holds other objects than tensors and plain values."""


@dataclass(frozen=True)
class Checkpoint:
    """The tensors in a file, by the names that they have there without a wrapper's prefix."""

    tensors: dict[str, torch.Tensor]
    digest: str
    """SHA-256 of the file."""


def read_checkpoint(uri: str, most_bytes: int | None = None) -> Checkpoint:
    """Reads a file whose name ends in one of WEIGHT_SUFFIXES and that has up to `most_bytes`, if there is a limit.

    timm's helper finds the weights in a checkpoint of a training: their moving average, `state_dict` or `model`.
    Raises StageError(USER_ERROR) if there is no such file, it cannot be read, or it needs more than tensors.
    """
    path = uri.partition("?")[0] if "://" in uri else uri
    if not path.endswith(WEIGHT_SUFFIXES):
        raise refusal(f"{uri}: the name of a file with weights ends in {', '.join(WEIGHT_SUFFIXES)}")
    with tempfile.TemporaryDirectory(prefix="noisy-student-weights-") as folder:
        copy = Path(folder) / ("weights.safetensors" if path.endswith(".safetensors") else "weights.pth")
        digest = _copied(uri, copy, most_bytes)
        return Checkpoint(tensors_in(copy, uri), digest)


def tensors_in(path: Path, called: str) -> dict[str, torch.Tensor]:
    """The tensors in a file on this machine, which errors call `called`. Raises StageError like `read_checkpoint`."""
    found = _read(called, path)
    tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise refusal(f"{called} holds no tensors")
    return tensors


def _copied(uri: str, copy: Path, most_bytes: int | None) -> str:
    """Copies the file, so that what is loaded is what the digest says, and returns the digest."""
    filesystem, path = open_filesystem(uri)
    info = filesystem.get_file_info(path)
    kind = info.type
    if kind != fs.FileType.File:
        raise refusal(f"{uri} is {'a folder' if kind == fs.FileType.Directory else 'not there'}: name a file")
    if most_bytes is not None and info.size > most_bytes:
        raise refusal(f"{uri} has {info.size:,} bytes, and {most_bytes:,} are the most for a model of its size")
    with filesystem.open_input_stream(path) as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, _PIECE_BYTES)
    with copy.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(uri: str, copy: Path) -> dict[str, object]:
    try:
        found: object = load_state_dict(str(copy), use_ema=True, device="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # each format has its own errors for damaged files
        if _BLOCKED in str(error):
            names = _unsafe_names(copy)
            asks = f" (it asks for {names})" if names else ""
            raise refusal(
                f"{uri} is no checkpoint of tensors and plain values alone{asks}: "
                "it is damaged, or loading it could run its author's code. Save the state_dict alone, as safetensors "
                "if you can"
            ) from error
        what = "safetensors" if copy.suffix == ".safetensors" else "a checkpoint of torch"
        raise refusal(f"{uri} cannot be read as {what}: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(found, dict):
        raise refusal(f"{uri} holds a {type(found).__name__}, not tensors by name")
    return found


def _unsafe_names(copy: Path) -> str:
    try:
        return ", ".join(torch.serialization.get_unsafe_globals_in_checkpoint(str(copy)))
    except Exception:  # of a pickle in the form before zip files, torch does not say it
        return ""
