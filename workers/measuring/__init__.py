"""The measure stage: measures, on a few images, what a run's stages would take on this cluster."""
