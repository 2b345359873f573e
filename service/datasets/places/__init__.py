"""Where a dataset lies: folders and buckets, which files are in them, and which of them are passed over."""
