"""The request that created a run, and the span of that request."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("request_id", sa.String(), nullable=True))
    op.add_column("runs", sa.Column("traceparent", sa.String(), nullable=True))
