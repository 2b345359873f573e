"""Runs: the code that checks, starts, changes and shows them."""
