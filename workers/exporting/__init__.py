"""Turns a trained model into files that run without this project, and compares their answers with the model's."""
