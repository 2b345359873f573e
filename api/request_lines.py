"""What a line of uvicorn's access log says: the parts of a request as fields, and its path without the query."""

import logging


def describe_request(record: logging.LogRecord) -> bool:
    """A filter of the logger `uvicorn.access`. It takes the query away, which may hold a ticket that logs in."""
    address, method, target, version, status = record.args  # type: ignore[misc]  # as uvicorn's protocols pass them
    path = str(target).partition("?")[0]
    record.args = (address, method, path, version, status)
    record.__dict__.update(client=address, method=method, path=path, status=status)
    return True
