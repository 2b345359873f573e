"""Makes many copies of a run in the database, with one statement per table."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.store.database import Database
from service.store.schema.tables import AttemptRow, EventRow, GenerationRow, ModelRow, RunRow, StageRow, Table

_TABLES: tuple[type[Table], ...] = (RunRow, GenerationRow, StageRow, AttemptRow, ModelRow, EventRow)
_SIX_DIGITS = "substr('00000' || i, length('00000' || i) - 5)"


def put_copies_in_place_of(database: Database, counts: dict[str, int]) -> None:
    """Replaces each run in `counts` by that number of copies. Copy N is called TEMPLATE-00000N."""
    for template, count in counts.items():
        with database.write() as session:
            if database.engine.dialect.name == "postgresql":
                # The copies refer to each other as the template does. Checking each foreign key would take minutes.
                session.execute(text("set local session_replication_role = replica"))
            for table in _TABLES:
                _copy(session, table, template, count)
            for table in reversed(_TABLES):
                column = "id" if table is RunRow else "run_id"
                session.execute(text(f"delete from {table.__tablename__} where {column} = :run"), {"run": template})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Bring the database into the state it would reach after a while: rows on disk and visible to all transactions.
        for statement in ("vacuum analyze", "checkpoint") if database.engine.name == "postgresql" else ("analyze",):
            connection.execute(text(statement))


def copy_id(template: str, number: int) -> str:
    """The run id of a template's copy. The first copy has number 1."""
    return f"{template}-{number:06d}"


def _copy(session: Session, table: type[Table], template: str, count: int) -> None:
    names = [column.name for column in table.__table__.columns if not (table is EventRow and column.name == "id")]
    renamed = f"replace({{}}, '{template}', '{template}-' || {_SIX_DIGITS})"
    # Each copy is a minute older than the last, because listings sort by age.
    values = {name: renamed.format(name) for name in ("id", "run_id", "submission_id")} | {
        "created_at": "created_at - 60 * i"
    }
    key = "id" if table is RunRow else "run_id"
    session.flush()
    session.execute(
        text(
            "with recursive numbers(i) as (select 1 union all select i + 1 from numbers where i < :count) "
            f"insert into {table.__tablename__} ({', '.join(names)}) "
            f"select {', '.join(values.get(name, name) for name in names)} "
            f"from {table.__tablename__}, numbers where {key} = :template order by i"
        ),
        {"count": count, "template": template},
    )
