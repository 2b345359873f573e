"""The contract between the control plane and the stages: spec in, result out (pydantic and the standard library only)."""
