"""The REST routes: each parses, calls one command or query, and answers with its view."""
