"""Who may start: the queue, priorities, quotas and projects."""
