"""Requests and answers that the OpenAPI document shows. Tests parse each request."""
