"""Weights to begin with: a stage's driver finds them and makes them ready before any worker or GPU is taken."""
