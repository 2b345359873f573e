"""Readers of shards: Parquet, tar, lists of URIs, and training shards."""
