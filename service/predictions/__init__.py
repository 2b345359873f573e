"""Predictions: a trained model answers about a dataset."""
