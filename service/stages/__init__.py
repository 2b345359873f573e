"""Derives the spec of each stage from a run's configuration, without I/O."""
