"""Datasets as the stages read them: shards, pictures, hashes and the order of samples. Free of torch and ray."""
