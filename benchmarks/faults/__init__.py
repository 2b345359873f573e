"""A seeded fault test: injects faults into small real runs on a real stack, and checks what must hold nevertheless."""
