"""The parts of the API, as attributes of a client."""
