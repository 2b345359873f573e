"""Registered datasets: requests, inspection, registration and views."""
