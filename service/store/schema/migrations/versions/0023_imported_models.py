"""Models may be imported: from where, the digest of their weights, and perhaps no accuracy on validation images."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("models") as models:
        models.alter_column("validation_top1", existing_type=sa.Double(), nullable=True)
        models.add_column(sa.Column("imported_from", sa.Text(), nullable=True))
        models.add_column(sa.Column("weights_digest", sa.String(), nullable=True))
