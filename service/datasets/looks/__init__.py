"""A look at a place: what it is taken for, and the requests that would register its parts. Nothing is recorded."""
