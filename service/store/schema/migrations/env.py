"""Alembic's entry: runs the migrations on the connection and in the transaction that `upgrade` opened."""

from alembic import context

from service.store.schema.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
