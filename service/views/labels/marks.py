"""The API's answers about marks."""

from datetime import datetime

from pydantic import Field

from service.views.base import View
from workers.specs.review import Verdict


class MarkView(View):
    """What was last said about an image in a run."""

    run_id: str
    content_hash: str = Field(description="The hash of the image's bytes. The mark holds for each copy of the image.")
    verdict: Verdict
    classes: list[str] = Field(
        description="The image's class; with the verdict wrong all classes that were marked as wrong for it."
    )
    dataset_id: str = Field(description="Where the image was looked at, with `generation`, `shard`, `row` and `key`.")
    generation: int
    shard: int
    row: int
    key: str
    marked_by: str
    marked_at: datetime
