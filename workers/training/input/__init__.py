"""What a training worker reads: samples, batches, noise, pictures."""
