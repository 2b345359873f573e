"""Inputs as strangers have them, each with what should come of it, decided beforehand: the service's judge."""
