"""The API's answers about datasets."""

from datetime import datetime

from pydantic import Field

from service.config.datasets import DatasetPart
from service.config.names import DEFAULT_PROJECT
from service.views.base import View
from workers.specs.datasets import DatasetFormat, DatasetRole, DigestOf


class DatasetView(View):
    id: str
    name: str
    project: str = DEFAULT_PROJECT
    role: DatasetRole
    format: DatasetFormat
    uri: str = Field(description="Where its files are; of a later version, where the files are that it added.")
    classes: list[str]
    rows: int
    shards: int
    class_counts: dict[str, int] | None = Field(description="Images per class; null for unlabeled datasets.")
    sampled: int = Field(description="Number of images decoded as a check.")
    sampled_bad: int = Field(description="Number of unreadable images among them.")
    picture_side: int | None = Field(
        default=None, description="The median of the shorter sides of the images decoded as a check, in pixels."
    )
    created_at: datetime
    version: int = Field(default=1, ge=1, description="1 for a dataset that was registered by itself.")
    previous: str | None = Field(
        default=None, description="The dataset whose shards this version begins with; null for the first."
    )
    digest: str | None = Field(default=None, description="Hexadecimal blake2b over what digest_of says.")
    digest_of: DigestOf | None = Field(
        default=None,
        description="images: content hashes and labels of all images in order, independent of their location. files: "
        "names, sizes and times of the files, if there are too many images to hash at registration. Of a later "
        "version, it covers the digest of the one before and that of what it adds.",
    )
    warnings: list[str] = Field(
        default=[], description="What registration found but accepted or left out, one sentence each."
    )
    part: DatasetPart | None = Field(
        default=None, description="Which part of the labeled images at the location it is; null: all of them."
    )
