"""What an attempt's driver reports: the devices that it is charged for, and what it waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("device_kind", sa.String(), nullable=True))
    op.add_column("attempts", sa.Column("waiting", sa.Text(), nullable=True))
