"""What several benchmarks share: temporary servers, clusters and processes, photographs, memory and cores."""
