"""The label stage: the teacher, without noise and on clean images, writes one file of pseudo labels for each shard."""
