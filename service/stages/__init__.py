"""From a run's configuration to the spec of each stage, without I/O."""
