"""Indexes with which a listing returns only runs in some states."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_runs_kind_state_created_at_id"), "runs", ["kind", "state", "created_at", "id"])
    op.create_index(
        op.f("ix_runs_project_kind_state_created_at_id"), "runs", ["project", "kind", "state", "created_at", "id"]
    )
