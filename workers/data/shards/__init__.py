"""Readers of shards: Parquet, image folders, tar, lists of URIs, and training shards."""
