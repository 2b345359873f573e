"""Where the pseudo labels of a generation are, and what tells which of them were selected, and why the others not."""

from typing import Literal

from pydantic import Field

from workers.specs.base import Frozen

WhichLabels = Literal["selected", "all"]
LabelFileFormat = Literal["parquet", "csv"]
"""Formats without pictures. They go through the API."""
PictureFormat = Literal["webdataset", "huggingface", "folders"]
"""Formats with pictures. They are written where the pool can be read."""


class LabelSource(Frozen):
    """All that an export of a generation's pseudo labels reads."""

    run_id: str
    generation: int
    teachers: tuple[str, ...] = Field(description="The ids of the models whose mean is the label, its teacher first.")
    classes: tuple[str, ...] = Field(description="Class names in index order.")
    dataset: str = Field(description="The id of the pool.")
    manifest_uri: str
    shards: int
    labels_uri: str = Field(description="Folder of the label files, one for each shard of the pool.")
    selection_uri: str | None = Field(description="Folder of the selection; null until there is one.")
    min_confidences: tuple[float, ...] = Field(description="The confidence that each class's labels had to have.")
    drops_near_duplicates: bool
    drops_duplicates: bool


class LabelFilter(Frozen):
    """Which labels to export."""

    which: WhichLabels = "selected"
    min_confidence: float = Field(default=0.0, ge=0, le=1)
