"""The contract between control plane and stages: spec in, result out (only pydantic and the standard library)."""
