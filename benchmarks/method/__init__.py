"""What the method gives: accuracy, robustness, search and ablation on real digits."""
