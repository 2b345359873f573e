"""Tests the control plane under load: latency at a steady rate of requests, and memory over a long time."""
