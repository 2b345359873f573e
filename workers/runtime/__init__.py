"""What every stage stands on: progress and results, resources, the cluster, the pool of actors."""
