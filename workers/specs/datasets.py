"""A registered dataset as the stages see it: an immutable list of shards."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from workers.specs.base import Frozen

DatasetRole = Literal["labeled", "unlabeled", "evaluation"]
DatasetFormat = Literal["parquet", "image_folder", "webdataset", "uri_list"]
DigestOf = Literal["images", "files"]
"""What the digest of a dataset is made of."""


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class Shard:
    """One file of images, or one group of image files of a folder or a list. The unit of labeling.

    As strict as `Frozen`, in a third of its memory (200 bytes instead of 620): a manifest may have a million of them,
    and each process of a stage holds them all.
    """

    uri: str
    """The Parquet or tar file; for an image folder, the folder's root; for a list of URIs, this shard's part of it."""
    rows: int = Field(ge=0)
    members: tuple[str, ...] = ()
    """Image folders only: the files of this shard, relative to `uri`, in row order."""


class DatasetManifest(Frozen):
    """What registration found and froze; written once to `ROOT/datasets/ID/manifest.json`."""

    dataset_id: str
    name: str = ""
    """The name that people gave it at registration; empty in manifests of versions that did not keep it."""
    role: DatasetRole
    format: DatasetFormat
    classes: tuple[str, ...]
    """Class names in index order; empty for an unlabeled dataset."""
    image_column: str = "image"
    """Parquet only: the binary column, or the struct column with a `bytes` field."""
    label_column: str | None = None
    """Parquet only: integer or string labels; `str(value)` is the class name."""
    label_names: tuple[str, ...] = ()
    """Parquet only: names of integer labels, where the files say them (Hugging Face's `ClassLabel`)."""
    key_column: str | None = None
    """Parquet only; without one the key is `FILE_NAME:ROW`."""
    rows: int = Field(ge=0)
    shards: tuple[Shard, ...]

    @property
    def called(self) -> str:
        """How messages call the dataset: its name and id."""
        return f"{self.name!r} ({self.dataset_id})" if self.name else self.dataset_id
