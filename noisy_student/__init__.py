"""What a user holds: the client of the REST API, the command line, the local stack."""
