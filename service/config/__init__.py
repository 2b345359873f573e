"""What is asked for: a run's configuration, its policies and gate, names, access. Values only."""
