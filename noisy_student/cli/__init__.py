"""The command line `noisy-student`: a thin client of the REST API, and the local stack."""
