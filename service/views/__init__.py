"""What the API answers, as values that any client can read."""
