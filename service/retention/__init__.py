"""What is kept of a run, what is collected, and when."""
