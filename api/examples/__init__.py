"""Examples of requests and responses in the OpenAPI document. Tests parse each request."""
