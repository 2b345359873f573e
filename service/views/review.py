"""The API's answers about pseudo labels and marks."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.views.base import View
from workers.specs.review import ReviewOrder, Verdict


class ClassProbability(View):
    name: str
    probability: float


class Opinion(View):
    """What another generation's label file says of the same image."""

    generation: int
    label: str
    confidence: float


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


class PseudoLabelView(View):
    """An image of the pool with its pseudo label."""

    shard: int
    row: int
    key: str
    content_hash: str
    label: str
    confidence: float
    top_classes: list[ClassProbability] = Field(description="The most probable classes, at most five.")
    selected: bool | None = Field(description="Whether the student trains on it; null before the selection is made.")
    copies: int | None = Field(description="How often the student's training repeats it; null as above.")
    previous: Opinion | None = Field(description="The label of the generation before; null if there is none.")
    student: Opinion | None = Field(
        description="The label that this generation's student gave later, as a teacher; null if it has not labeled."
    )
    mark: MarkView | None
    picture: str = Field(description="The path of the picture, small and encoded again.")


class PseudoLabelPage(View):
    """A page of pseudo labels, those first that are most worth a look."""

    items: list[PseudoLabelView]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last page.")
    order: ReviewOrder
    made_from: Literal["list", "sample"] = Field(
        description="list: the selection looked at every row and listed the best of each class. sample: there is no "
        "such list, and only some rows were looked at."
    )
    rows: int = Field(description="How many rows the order and the filters leave, on all pages together.")
    notes: list[str] = Field(description="What this page cannot show, and why.")
