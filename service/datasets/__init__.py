"""Registered datasets: what is asked for, inspected, stored and shown."""
