"""API keys, sessions of the web page, the audit log; projects of runs and datasets."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f("ix_runs_project_kind_created_at_id"), "runs", ["project", "kind", "created_at", "id"], unique=False
    )
    op.add_column("datasets", sa.Column("project", sa.String(), nullable=False, server_default="default"))
    op.create_index(op.f("ix_datasets_project_created_at_id"), "datasets", ["project", "created_at", "id"])

    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_created_at_id"), "api_keys", ["created_at", "id"], unique=False)
    op.create_table(
        "web_sessions",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_web_sessions_key_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_sessions")),
    )
    op.create_index(op.f("ix_web_sessions_expires_at"), "web_sessions", ["expires_at"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_project_id"), "audit", ["project", "id"], unique=False)
    _make_append_only()


def _make_append_only() -> None:
    """An entry may get its status and its location, once; nothing else of it may change."""
    kept = ("id", "at", "subject", "kind", "project", "address", "request_id", "method", "path")
    before, after = (", ".join(f"{row}.{name}" for name in kept) for row in ("old", "new"))
    if op.get_bind().dialect.name == "sqlite":
        refuse = "begin select raise(abort, 'the audit log is append-only'); end"
        op.execute(f"create trigger audit_is_not_deleted before delete on audit {refuse}")
        op.execute(
            "create trigger audit_is_not_changed before update on audit "
            f"when old.status is not null or ({before}) is not ({after}) {refuse}"
        )
        return
    op.execute(
        "create function refuse_audit_change() returns trigger language plpgsql as "
        "$$ begin raise exception 'the audit log is append-only'; end $$"
    )
    refuse = "for each row execute function refuse_audit_change()"
    op.execute(f"create trigger audit_is_not_deleted before delete on audit {refuse}")
    op.execute(
        "create trigger audit_is_not_changed before update on audit for each row "
        f"when (old.status is not null or ({before}) is distinct from ({after})) "
        "execute function refuse_audit_change()"
    )
