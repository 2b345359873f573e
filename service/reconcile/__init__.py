"""The reconciler: observes every active run, decides what to do next, and does it."""
