"""Runs: how they are started and changed, checked, and shown."""
