"""The evaluate stage: how good a model is, and how good the pseudo labels are where the truth is known."""
