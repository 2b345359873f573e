"""The group of training workers: Ray Train's trainer, each worker's session, its checkpoints."""
