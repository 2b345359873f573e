"""The contract between control plane and stages: spec in, result out. Needs only pydantic and the standard library."""
