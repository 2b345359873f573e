"""The select stage: which pseudo labels the student learns from, and how often each is repeated."""
