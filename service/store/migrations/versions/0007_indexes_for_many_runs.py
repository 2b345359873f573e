"""What keeps queries short beside a hundred thousand finished runs."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_stages_ready",
        "stages",
        ["run_id", "generation", "name"],
        unique=False,
        sqlite_where=sa.text("ready_at is not null and state in ('pending', 'running')"),
        postgresql_where=sa.text("ready_at is not null and state in ('pending', 'running')"),
    )
