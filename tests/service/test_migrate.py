"""Migrations, on both kinds of database."""

import threading

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service.store.database import Database
from service.store.migrate import upgrade
from service.store.tables import Table


def test_the_migrations_make_the_tables_that_the_code_expects(empty_database_url: str) -> None:
    upgrade(empty_database_url)

    database = Database(empty_database_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Table.metadata)
    database.close()
    assert differences == []


def test_upgrading_twice_changes_nothing(empty_database_url: str) -> None:
    upgrade(empty_database_url)
    upgrade(empty_database_url)

    database = Database(empty_database_url)
    assert set(Table.metadata.tables) < set(inspect(database.engine).get_table_names())
    database.close()


def test_several_processes_may_start_on_an_empty_database_at_once(empty_database_url: str) -> None:
    errors: list[BaseException] = []
    together = threading.Barrier(4)

    def start() -> None:
        together.wait()
        try:
            upgrade(empty_database_url)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    database = Database(empty_database_url)
    with database.read() as session:
        assert session.execute(text("select count(*) from alembic_version")).scalar_one() == 1
    database.close()
