"""The ablate stage: trains the same student without each part of the method in turn (Xie et al., section 4)."""
