"""Measures the repository itself: imports between packages, attack tests, the test suite, the client's import time."""
