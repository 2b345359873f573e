"""The control plane under load: latency at a steady rate of requests, and memory over a soak."""
