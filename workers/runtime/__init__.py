"""The foundation of every stage: progress and results, resources, the cluster, the pool of actors."""
