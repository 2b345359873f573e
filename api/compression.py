"""Compresses the responses to read requests only.

Other responses may contain a secret, shown once, next to data from the caller. How well the two compress together would
leak the secret (the BREACH attack).
"""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_SHORTEST_BYTES = 2_000
_LEVEL = 1
"""This level shrinks JSON to a tenth. Level 9 takes six times as long for little more."""


class CompressedReads:
    """Starlette's gzip, for reads only. It leaves out event streams and what is already compressed."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = GZipMiddleware(app, minimum_size=_SHORTEST_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        compresses = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/ray/")
        await (self._compressed if compresses else self._plain)(scope, receive, send)
