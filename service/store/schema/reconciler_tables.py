"""The tables that only the reconciler writes: its lease, the tallies of what is over, and who has labeled what."""

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.store.schema.tables import Table


class LeaseRow(Table):
    """The lease of the reconciler. The migration that creates the table adds its only row, "reconciler"."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    fencing_token: Mapped[int] = mapped_column(BigInteger)
    """Grows by one with every claim. Each write of a reconciler checks that this is still its own token."""
    holder: Mapped[str] = mapped_column(Text)
    """Who holds or last held the lease, for people to read."""
    expires_at: Mapped[float]


class TallyRow(Table):
    """How much there has been of what is over. Only the reconciler counts, so that nobody waits for these rows."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(primary_key=True)
    """`attempts`: those that have ended. `images`: what stages that have succeeded have worked on."""
    stage: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    """The attempts' final state; empty for images."""
    reason: Mapped[str] = mapped_column(primary_key=True)
    """Why the attempts did not succeed; empty where they did, and for images."""
    value: Mapped[int] = mapped_column(BigInteger)


class LabelingRow(Table):
    """Which dataset a label stage has labeled, and by which models: another stage may take its label files over."""

    __tablename__ = "labelings"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[str]
    labeler_uris: Mapped[str] = mapped_column(Text)
    """JSON list of the folders of the models whose mean is the label, in alphabetical order."""
    labeled_at: Mapped[float]

    __table_args__ = (
        ForeignKeyConstraint(["run_id", "generation"], ["generations.run_id", "generations.number"]),
        Index(None, "labeler_uris", "labeled_at"),
    )
