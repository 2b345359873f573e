"""A run from one line: what is in the folders, which recipe suits it, what it costs, and what was gained."""
