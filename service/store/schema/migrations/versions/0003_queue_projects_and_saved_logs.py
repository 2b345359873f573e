"""Projects with quotas, priorities, pausing, and logs that outlive their Ray jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("quota_device_hours", sa.Double(), nullable=True),
        sa.Column("spent_device_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projects")),
    )
    op.execute("insert into projects (name, spent_device_seconds) values ('default', 0)")
    op.add_column("runs", sa.Column("project", sa.String(), nullable=False, server_default="default"))
    op.add_column("runs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("pause_requested_at", sa.Double(), nullable=True))
    op.add_column("attempts", sa.Column("devices", sa.Double(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("job_closed_at", sa.Double(), nullable=True))
    op.add_column("attempts", sa.Column("log_saved", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_attempts_job_not_closed",
        "attempts",
        ["finished_at"],
        sqlite_where=sa.text("job_closed_at is null"),
        postgresql_where=sa.text("job_closed_at is null"),
    )
