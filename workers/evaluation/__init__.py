"""The evaluate stage: measures how good a model is, and how good pseudo labels are if their truth is known."""
