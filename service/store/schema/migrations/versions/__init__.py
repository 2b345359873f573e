"""The schema versions, oldest first by name."""
