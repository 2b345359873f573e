"""Searches and ablations beside runs; gates."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("kind", sa.String(), nullable=False, server_default="run"))
    op.add_column("runs", sa.Column("source_run_id", sa.String(), nullable=True))
    op.create_index(op.f("ix_runs_kind_created_at_id"), "runs", ["kind", "created_at", "id"], unique=False)
    op.add_column("generations", sa.Column("promoted", sa.Boolean(), nullable=True))
    op.add_column("generations", sa.Column("gate_reason", sa.Text(), nullable=True))
