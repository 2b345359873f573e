"""The commands, one file per subject. Each calls the API through the client and prints the response."""
