"""The train stage: a teacher or a noisy student, on Ray Train with DDP or FSDP."""
