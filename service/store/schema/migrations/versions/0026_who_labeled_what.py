"""Which datasets label stages have labeled, and by which models. Those of earlier versions are not known."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "labelings",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.String(), nullable=False),
        sa.Column("labeler_uris", sa.Text(), nullable=False),
        sa.Column("labeled_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "generation"],
            ["generations.run_id", "generations.number"],
            name=op.f("fk_labelings_run_id_generation"),
        ),
        sa.PrimaryKeyConstraint("run_id", "generation", name=op.f("pk_labelings")),
    )
    op.create_index(
        op.f("ix_labelings_labeler_uris_labeled_at"), "labelings", ["labeler_uris", "labeled_at"], unique=False
    )
