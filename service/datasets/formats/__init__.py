"""The formats of datasets: how registration finds the shards of each format and reads them."""
