"""The control plane: run configuration, state machine, database, reconciler, and a client for Ray's jobs API."""
