"""What several benchmarks stand on: throw-away servers, clusters and processes, made photographs, memory and cores."""
