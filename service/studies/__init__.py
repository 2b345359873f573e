"""Searches and ablations beside a run."""
