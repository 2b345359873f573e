"""A whole stack on one machine, and the demo that runs on it."""
