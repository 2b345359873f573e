"""The API's answers, as values that any client can read."""
