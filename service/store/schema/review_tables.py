"""The table of marks: what people say about pseudo labels."""

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.store.schema.columns import PlainText
from service.store.schema.tables import Table


class MarkRow(Table):
    """What was last said about an image in a run. It holds for each copy of the image and for each later generation."""

    __tablename__ = "marks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    content_hash: Mapped[str] = mapped_column(primary_key=True)
    """The image's content hash, in hex."""
    verdict: Mapped[str]
    classes: Mapped[str] = mapped_column(Text)
    """JSON list of names: the image's class, or for `wrong` all classes that were rejected."""
    dataset_id: Mapped[str]
    """The dataset in which the image was looked at, here and below."""
    generation: Mapped[int]
    """The generation whose label was looked at."""
    shard: Mapped[int]
    row: Mapped[int]
    key: Mapped[str] = mapped_column(PlainText)
    """The image's key in its dataset."""
    marked_by: Mapped[str] = mapped_column(PlainText)
    marked_at: Mapped[float]

    __table_args__ = (Index(None, "run_id", "marked_at", "content_hash"),)
