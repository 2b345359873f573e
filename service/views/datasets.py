"""The API's answers about datasets."""

from datetime import datetime

from pydantic import Field

from service.config.names import DEFAULT_PROJECT
from service.views.base import View
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf


class DatasetView(View):
    id: str
    name: str
    project: str = DEFAULT_PROJECT
    role: DatasetRole
    format: DatasetFormat
    uri: str
    classes: list[str]
    rows: int
    shards: int
    class_counts: dict[str, int] | None = Field(description="Images a class; null for unlabeled datasets.")
    sampled: int = Field(description="Images that were decoded to check them.")
    sampled_bad: int = Field(description="Of those, unreadable ones.")
    created_at: datetime
    digest: str | None = Field(default=None, description="blake2b in hex, of what digest_of says.")
    digest_of: DigestOf | None = Field(
        default=None,
        description="images: content hashes and labels of all images in order, wherever they lie. files: names, sizes "
        "and times of the files, where there are too many images to hash at registration.",
    )
    warnings: list[str] = Field(
        default=[], description="What registration found and read past or left out, a sentence each."
    )
