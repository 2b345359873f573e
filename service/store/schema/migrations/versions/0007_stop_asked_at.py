"""When Ray was last asked to stop a job, beside when it first was."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("stop_asked_at", sa.Double(), nullable=True))
