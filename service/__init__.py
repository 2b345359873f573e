"""The control plane: run configuration, state machine, store, reconciler, Ray job client."""
