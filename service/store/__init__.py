"""The database: tables, migrations, and the few statements that read and change them."""
