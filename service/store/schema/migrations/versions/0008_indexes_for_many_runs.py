"""What keeps queries short beside a hundred thousand finished runs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
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
    op.add_column("runs", sa.Column("retention_due_at", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("retention_policy", sa.Text(), nullable=True))
    op.execute("update runs set retention_due_at = 0")  # retention has to look at each once
    op.create_index(op.f("ix_runs_retention_due_at"), "runs", ["retention_due_at"], unique=False)
    op.create_index(op.f("ix_runs_retention_policy"), "runs", ["retention_policy"], unique=False)
    op.create_index(
        op.f("ix_runs_source_run_id_created_at_id"), "runs", ["source_run_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_webhook_deliveries_pending",
        "webhook_deliveries",
        ["webhook_id", "next_attempt_at"],
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
    op.add_column("models", sa.Column("project", sa.String(), nullable=False, server_default="default"))
    op.execute("update models set project = (select runs.project from runs where runs.id = models.run_id)")
    op.create_index(op.f("ix_models_project_created_at_id"), "models", ["project", "created_at", "id"], unique=False)
