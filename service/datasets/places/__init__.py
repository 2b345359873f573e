"""The location of a dataset: lists the files in folders and buckets, and knows which of them to skip."""
