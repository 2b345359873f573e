"""What is timed or scored, always beside a rival in the same run."""
