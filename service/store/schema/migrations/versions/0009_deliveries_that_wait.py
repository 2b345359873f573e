"""Deliveries that wait for an earlier event of their run have no time: only those with one are looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_webhook_deliveries_pending", "webhook_deliveries")
    op.drop_index("ix_webhook_deliveries_delivered", "webhook_deliveries")  # SQLite makes the table anew
    with op.batch_alter_table("webhook_deliveries") as deliveries:
        deliveries.alter_column("next_attempt_at", existing_type=sa.Double(), nullable=True)
    op.execute(
        "update webhook_deliveries set next_attempt_at = null where (webhook_id, event_id) not in ("
        "select webhook_id, min(event_id) from webhook_deliveries where state = 'pending' group by webhook_id, run_id)"
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "next_attempt_at", "event_id"],
        unique=False,
        sqlite_where=sa.text("next_attempt_at is not null"),
        postgresql_where=sa.text("next_attempt_at is not null"),
    )
    op.create_index(
        "ix_webhook_deliveries_run_pending",
        "webhook_deliveries",
        ["webhook_id", "run_id", "event_id"],
        unique=False,
        sqlite_where=sa.text("state in ('pending')"),
        postgresql_where=sa.text("state in ('pending')"),
    )
    op.create_index(
        "ix_webhook_deliveries_delivered",
        "webhook_deliveries",
        ["last_attempt_at"],
        unique=False,
        sqlite_where=sa.text("state in ('delivered')"),
        postgresql_where=sa.text("state in ('delivered')"),
    )
