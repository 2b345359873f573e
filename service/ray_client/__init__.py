"""Ray's jobs API, as the control plane uses it."""
