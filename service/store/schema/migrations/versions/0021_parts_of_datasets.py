"""Which part of a split a dataset is, and how large its pictures are."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("part", sa.Text(), nullable=True))
    op.add_column("datasets", sa.Column("picture_side", sa.Integer(), nullable=True))
