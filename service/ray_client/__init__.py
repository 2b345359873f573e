"""A client for Ray's jobs API."""
