"""What runs on the Ray cluster: stage specs, data, models, and one package a stage."""
