"""What an export of a model tells: the file, and how far its answers are from the model's."""

from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen

ExportFormat = Literal["onnx", "torch-export"]
EXPORT_TOLERANCE = 1e-4
"""How far the logits of an exported model may be from the model's. It grows with the largest logit, if that is above 1,
because the precision of a float does."""


class ExportReport(Frozen):
    """A finished export. Its file holds the same as metadata, with the classes and the input's configuration."""

    format: ExportFormat
    opset: int | None = Field(description="Of ONNX; null for another format.")
    images: int = Field(ge=1, description="Real images on which the file and the model were compared.")
    max_difference: float = Field(ge=0, description="The largest absolute difference between two logits.")
    largest_logit: float = Field(ge=0, description="The largest absolute logit of the model on these images.")
    versions: dict[str, str] = Field(description="Of the packages that wrote and checked the file.")

    @property
    def tolerance(self) -> float:
        """How large `max_difference` may be."""
        return EXPORT_TOLERANCE * max(1.0, self.largest_logit)
