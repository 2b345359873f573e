"""Retention: decides which artifacts of a run to keep and which to delete, and deletes them."""
