"""The reconciler's tick, the plan beside its run, and the doors of the local stack."""
