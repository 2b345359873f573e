"""The formats of exported models: how a file is written, and how it is run."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from workers.specs.export import ExportFormat

Answer = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""From normalized pixels, (images, 3, size, size), to logits, (images, classes)."""
_OPSET = 25
"""The newest opset in which what torch 2.15 writes is valid for onnxruntime 1.32: 26 changed Attention."""
_LARGE_BYTES = 1_500_000_000
"""A protobuf message cannot exceed 2 GiB: the weights of larger models go into a second file, FILE.data."""


class Program(ABC):
    """A model as a graph that no longer needs Python."""

    opset: int | None = None
    packages: ClassVar[tuple[str, ...]] = ("torch", "timm")
    """Who writes and runs it."""

    def __init__(self, folder: Path, image_size: int) -> None:
        self._image_size = image_size
        with _quiet():
            self._program = self._traced(_plain_timm(folder))

    @abstractmethod
    def save(self, file: Path, metadata: Mapping[str, str]) -> None:
        """Writes the file."""

    @abstractmethod
    def open(self, file: Path) -> Answer:
        """Reads the file, as its user would."""

    @abstractmethod
    def _traced(self, model: nn.Module) -> Any: ...

    @property
    def _example(self) -> torch.Tensor:
        # Not one image: torch would take a size of one for a constant.
        return torch.rand(2, 3, self._image_size, self._image_size)

    @property
    def _shapes(self) -> tuple[dict[int, torch.export.Dim]]:
        return ({0: torch.export.Dim("images", min=1)},)


class OnnxProgram(Program):
    """ONNX with the input `pixels` and the output `logits` (docs.pytorch.org, torch.onnx)."""

    opset = _OPSET
    packages = ("torch", "timm", "onnx", "onnxscript", "onnxruntime")

    def save(self, file: Path, metadata: Mapping[str, str]) -> None:
        self._program.model.metadata_props.update(metadata)
        self._program.save(file, external_data=self._is_large)

    def open(self, file: Path) -> Answer:
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return lambda pixels: session.run(["logits"], {"pixels": pixels})[0]

    def _traced(self, model: nn.Module) -> Any:
        self._is_large = sum(each.nbytes for each in model.state_dict().values()) > _LARGE_BYTES
        return torch.onnx.export(
            model,
            (self._example,),
            input_names=["pixels"],
            output_names=["logits"],
            opset_version=_OPSET,
            dynamo=True,
            dynamic_shapes=self._shapes,
            verbose=False,
        )


class TorchProgram(Program):
    """torch.export's own archive, .pt2 (docs.pytorch.org, torch.export)."""

    def save(self, file: Path, metadata: Mapping[str, str]) -> None:
        torch.export.save(self._program, file, extra_files=dict(metadata))

    def open(self, file: Path) -> Answer:
        module = torch.export.load(file).module()

        def answer(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                logits: npt.NDArray[np.float32] = module(torch.from_numpy(pixels)).numpy()
            return logits

        return answer

    def _traced(self, model: nn.Module) -> Any:
        return torch.export.export(model, (self._example,), dynamic_shapes=self._shapes)


FORMATS: Mapping[ExportFormat, type[Program]] = {"onnx": OnnxProgram, "torch-export": TorchProgram}


def _plain_timm(folder: Path) -> nn.Module:
    """The model as timm itself loads it, of layers that can be exported."""
    import timm

    model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True, exportable=True)
    return model.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters warn of their own parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
