"""What each process tells Prometheus: docs/metrics.md lists it."""
