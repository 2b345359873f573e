"""The repository itself: the arrows between its packages, its attacks, its suite, the client's import."""
