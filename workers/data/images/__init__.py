"""Turns the bytes of image files into pixels and hashes."""
