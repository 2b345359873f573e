"""Alembic's folder: one file per schema version."""
