"""The FastAPI control plane and the command line: they only translate."""
