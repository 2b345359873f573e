"""Benchmarks of the method: accuracy, robustness, search and ablation on real digits."""
