"""The file of tensors that the driver leaves for the workers of a training."""

from collections.abc import Mapping

import safetensors.torch
import torch

from workers.artifact_io import join_uri, read_bytes, write_bytes
from workers.specs.initialization import TENSORS_FILE


def write_tensors(uri: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes tensors to the folder `uri`."""
    write_bytes(join_uri(uri, TENSORS_FILE), safetensors.torch.save(dict(tensors)))


def read_tensors(uri: str) -> dict[str, torch.Tensor]:
    """The tensors in the folder `uri`, on the CPU."""
    tensors: dict[str, torch.Tensor] = safetensors.torch.load(read_bytes(join_uri(uri, TENSORS_FILE)))
    return tensors
