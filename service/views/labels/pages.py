"""The API's answers about pseudo labels."""

from typing import Literal

from pydantic import Field

from service.views.base import View
from service.views.labels.marks import MarkView
from workers.specs.review import ReviewOrder


class ClassProbability(View):
    name: str
    probability: float


class Opinion(View):
    """What another generation's label file says of the same image."""

    generation: int
    label: str
    confidence: float


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
