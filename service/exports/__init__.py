"""Takes models out of the service: the model card, and the archive of a model's folder."""
