"""The commands about runs: start, inspect, follow, compare and stop them."""
