"""What every process tells of itself, whichever part of the service it belongs to: log lines and traces."""
