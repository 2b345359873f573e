"""Artifacts: where they are stored, and how the control plane reaches them without waiting forever."""
