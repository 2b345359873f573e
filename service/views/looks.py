"""The API's answer about a place that nobody has registered yet."""

from pydantic import Field

from service.config.datasets import DatasetRequest, RequestedFormat
from service.views.base import View


class LookedAtColumn(View):
    name: str
    type: str = Field(description="Arrow's name of the type; for texts, `string`.")


class LookedAtPart(View):
    """One split, or the whole place if it has none."""

    split: str | None = Field(description="The split's name there; null for the whole place.")
    images: int | None = Field(description="Number of images; null where only reading everything would tell.")
    images_are_all: bool = Field(description="Whether `images` is exact. Otherwise there are at least so many.")
    classes: int = Field(description="Number of classes that were seen in this part; 0 without labels.")


class DatasetLook(View):
    """What a place is taken for."""

    uri: str
    taken_for: str = Field(description="What it is taken for, in words.")
    format: RequestedFormat | None = Field(
        description="As `format` of POST /datasets takes it; null if nothing there is read."
    )
    files: int = Field(description="Number of files, without hidden ones.")
    files_are_all: bool = Field(description="Whether `files` is exact. Otherwise there are at least so many.")
    parts: list[LookedAtPart] = Field(description="The splits in the order of `requests`.")
    classes: list[str] = Field(description="The first 1,000 classes of all parts, in index order.")
    class_count: int = Field(description="Number of classes that were seen.")
    classes_from: str | None = Field(description="Where the names of the classes come from, in words.")
    columns: list[LookedAtColumn] = Field(description="The columns of tables; empty for other formats.")
    requests: list[DatasetRequest] = Field(
        description="The bodies of POST /datasets that register the parts. Empty if nothing there is read."
    )
    warnings: list[str] = Field(description="What a person should know, one sentence each.")
