"""The database: tables, migrations, and the statements that read and change them."""
