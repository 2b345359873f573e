"""One lease with a fencing token for the reconciler, in the place of a lease a run."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    leases = op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.bulk_insert(leases, [{"name": "reconciler", "fencing_token": 0, "holder": "", "expires_at": 0.0}])  # nosec B105: a number, no password
    op.drop_column("runs", "lease_token")
    op.drop_column("runs", "lease_expires_at")
