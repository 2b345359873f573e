"""Answers to reading requests are compressed.

The others are not: they may hold a secret that is shown once, beside what the caller has sent, and how well both
compress together would tell of it (BREACH).
"""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_SHORTEST_BYTES = 2_000
_LEVEL = 1
"""JSON shrinks to a tenth already; level 9 takes six times as long for little more."""


class CompressedReads:
    """Starlette's gzip, which leaves streams of events and what is compressed already alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = GZipMiddleware(app, minimum_size=_SHORTEST_BYTES, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        compresses = scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/ray/")
        await (self._compressed if compresses else self._plain)(scope, receive, send)
