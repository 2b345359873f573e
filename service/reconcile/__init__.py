"""The reconciler: looks at every active run, decides what follows, and does it."""
