"""A seeded fault test: small real runs on a real stack, hurt at random moments, and what must hold all the same."""
