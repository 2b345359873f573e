"""Benchmarks of the stages that read images, compared with rivals and the machine's ceiling, and under kill -9."""
