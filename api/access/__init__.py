"""Admits requests before any route: who calls, from where, what they may do and how often. Records all changes."""
