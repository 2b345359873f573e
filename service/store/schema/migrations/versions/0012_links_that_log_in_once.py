"""Links that log a browser in once."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "web_links",
        sa.Column("ticket_hash", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_web_links_key_id")),
        sa.PrimaryKeyConstraint("ticket_hash", name=op.f("pk_web_links")),
    )
    op.create_index(op.f("ix_web_links_expires_at"), "web_links", ["expires_at"], unique=False)
