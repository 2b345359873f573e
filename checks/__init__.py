"""What `make lint` looks at beside the code itself."""
