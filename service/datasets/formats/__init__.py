"""The formats of datasets: what each finds in its files, and how its shards are read at registration."""
