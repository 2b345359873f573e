"""The audit log says whose the changed thing is, and lets go of old entries; answers to repeat say whose they are."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_YOUNG_SECONDS = 7 * 86_400
"""Younger entries cannot be deleted, whatever the settings say."""


def upgrade() -> None:
    op.add_column("audit", sa.Column("target_project", sa.String(), nullable=True))
    op.create_index(op.f("ix_audit_target_project_id"), "audit", ["target_project", "id"], unique=False)
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    refused = sa.text("status >= 400")
    op.create_index("ix_audit_refused_at", "audit", ["at"], sqlite_where=refused, postgresql_where=refused)
    op.add_column("idempotency_keys", sa.Column("caller", sa.String(), nullable=False, server_default=""))
    op.create_index(op.f("ix_idempotency_keys_caller"), "idempotency_keys", ["caller"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("drop trigger audit_is_not_deleted")
        op.execute(
            "create trigger audit_is_not_deleted before delete on audit "
            f"when old.at > (julianday('now') - 2440587.5) * 86400.0 - {_YOUNG_SECONDS} "
            "begin select raise(abort, 'the audit log is append-only'); end"
        )
        return
    op.execute("drop trigger audit_is_not_deleted on audit")
    op.execute(
        "create trigger audit_is_not_deleted before delete on audit for each row "
        f"when (old.at > extract(epoch from now()) - {_YOUNG_SECONDS}) execute function refuse_audit_change()"
    )
