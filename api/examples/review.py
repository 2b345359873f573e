"""Examples of pseudo labels and marks."""

from datetime import UTC, datetime

from fastapi.openapi.models import Example

from api.schemas.problem import Answers
from service.exports.tables import MEDIA_TYPES
from service.views.labels.marks import MarkView
from service.views.labels.pages import ClassProbability, Opinion, PseudoLabelPage, PseudoLabelView

MARK = MarkView(
    run_id="run-3f9c2a71d0",
    content_hash="7d1f6c0be2a94e4fb1c92a36d2b0c58e",
    verdict="class",
    classes=["dog"],
    dataset_id="ds-1f0b6c9e27",
    generation=1,
    shard=12,
    row=340,
    key="pets-00012.parquet:340",
    marked_by="key:ana",
    marked_at=datetime(2026, 11, 23, 21, 30, tzinfo=UTC),
)
LABELS = PseudoLabelPage(
    items=[
        PseudoLabelView(
            shard=12,
            row=340,
            key="pets-00012.parquet:340",
            content_hash="7d1f6c0be2a94e4fb1c92a36d2b0c58e",
            label="cat",
            confidence=0.412,
            top_classes=[
                ClassProbability(name="cat", probability=0.412),
                ClassProbability(name="dog", probability=0.397),
            ],
            selected=True,
            copies=2,
            previous=None,
            student=Opinion(generation=2, label="dog", confidence=0.871),
            mark=MARK,
            picture="/runs/run-3f9c2a71d0/generations/1/labels/12/340/picture",
        )
    ],
    next_cursor="24.5b0f4be8e1c2d3a4",
    order="uncertain",
    made_from="list",
    rows=5000,
    notes=[],
)
SMALL_PICTURE: Answers = {
    200: {
        "description": "The picture",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of a JPEG"}},
    }
}
_BINARY = {"schema": {"type": "string", "format": "binary"}, "example": "the bytes of the file"}
MARK_TABLE: Answers = {
    200: {"description": "The table", "content": {kind.partition(";")[0]: _BINARY for kind in MEDIA_TYPES.values()}}
}
MARK_REQUESTS: dict[str, Example] = {
    "right": {"summary": "The label is true", "value": {"verdict": "right"}},
    "wrong": {"summary": "The label is not true", "value": {"verdict": "wrong"}},
    "class": {"summary": "Another class is", "value": {"verdict": "class", "class": "dog"}},
}
