"""Benchmarks of the reconciler's tick, of plans compared with their runs, and of the local stack's open ports."""
