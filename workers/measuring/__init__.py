"""The measure stage: what a run's stages take on this cluster, on a few of its images."""
