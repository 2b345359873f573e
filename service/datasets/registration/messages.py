"""What goes into an inspector process, and what comes out of it: one line of JSON each."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from service.config.datasets import DatasetRequest
from workers.data.dataset_roots import DatasetRoots
from workers.specs.base import Frozen
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf


class InspectionJob(Frozen):
    """One dataset to look at."""

    request: DatasetRequest
    dataset_id: str
    artifact_root: str
    """Where manifest, hashes and the parts of a list are written."""
    roots: DatasetRoots
    """Where the dataset may lie."""


class DatasetSummary(Frozen):
    """What is put on record of a dataset whose manifest and hashes are on file: small, however large the dataset."""

    answer: Literal["found"] = "found"
    dataset_id: str
    role: DatasetRole
    format: DatasetFormat
    classes: tuple[str, ...]
    rows: int
    shards: int
    class_counts: dict[str, int] | None
    """Images a class, in index order; None for an unlabeled dataset."""
    sampled: int
    sampled_bad: int
    hashed: bool
    """Whether the content hashes are on file."""
    digest: str
    digest_of: DigestOf
    warnings: tuple[str, ...] = ()


class Refusal(Frozen):
    """The dataset cannot be worked with."""

    answer: Literal["refused"] = "refused"
    field: str
    message: str


class StoreFailure(Frozen):
    """The artifact store did not take what was to be written."""

    answer: Literal["store"] = "store"
    message: str


Answer = Annotated[DatasetSummary | Refusal | StoreFailure, Field(discriminator="answer")]
ANSWER: TypeAdapter[DatasetSummary | Refusal | StoreFailure] = TypeAdapter(Answer)


def too_much_memory(memory_bytes: int) -> str:
    """What is said of a dataset that does not fit."""
    return (
        f"cannot be inspected: it takes more than {memory_bytes >> 20} MiB of memory; where its files are what they "
        "should be, raise the setting registration.memory_mib"
    )
