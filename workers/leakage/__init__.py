"""Leak protection: finds images to train on that are, or look like, an evaluation image."""
