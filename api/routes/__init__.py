"""The REST routes. Each parses a request, calls one command or query, and returns a view."""
