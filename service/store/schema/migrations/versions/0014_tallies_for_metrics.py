"""Counts of what has ended, so that a scrape of the metrics need not count it; and an index of what has not."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_IMAGES = {"label": "labeled", "select": "kept", "train": "images_seen"}


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "stage", "outcome", "reason", name=op.f("pk_tallies")),
    )
    op.create_index(
        "ix_stages_not_succeeded",
        "stages",
        ["name", "state"],
        unique=False,
        sqlite_where=sa.text("state in ('cancelled', 'failed', 'pending', 'running')"),
        postgresql_where=sa.text("state in ('cancelled', 'failed', 'pending', 'running')"),
    )
    op.execute(
        "insert into tallies (name, stage, outcome, reason, value) "
        "select 'attempts', stage, state, coalesce(failure_reason, ''), count(*) from attempts "
        "where state in ('cancelled', 'failed', 'paused', 'succeeded') "
        "group by stage, state, coalesce(failure_reason, '')"
    )
    for stage, field in _IMAGES.items():
        op.execute(
            "insert into tallies (name, stage, outcome, reason, value) "
            f"select 'images', '{stage}', '', '', coalesce(sum({_number(field)}), 0) from stages "  # nosec B608
            f"where name = '{stage}' and state = 'succeeded' and result is not null"
        )


def _number(field: str) -> str:
    """An integer of the stage's result, whose JSON is text."""
    if op.get_bind().dialect.name == "sqlite":
        return f"json_extract(result, '$.{field}')"
    return f"(cast(result as json) ->> '{field}')::bigint"
