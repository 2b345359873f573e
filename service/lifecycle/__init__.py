"""The state machine of runs, generations, stages and attempts, as values: no I/O, no clock."""
