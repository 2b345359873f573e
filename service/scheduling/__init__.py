"""Decides which stages may start: the queue, priorities, quotas and projects."""
