"""The ablation stage: the same student without each part of the method in turn, from one teacher's labels."""
