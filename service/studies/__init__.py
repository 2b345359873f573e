"""Studies: searches and ablations next to a run."""
