"""Datasets that continue another: their version, the one before and the first."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("datasets", sa.Column("previous", sa.String(), nullable=True))
    op.add_column("datasets", sa.Column("first", sa.String(), nullable=True))
    op.create_index(op.f("ix_datasets_previous"), "datasets", ["previous"], unique=True)
    op.create_index(op.f("ix_datasets_first_version_id"), "datasets", ["first", "version", "id"], unique=False)
