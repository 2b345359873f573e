"""Limits the server's connections: their number, the time to send a request, and the bytes around its body.

uvicorn limits none of these. Without a credential (on loopback, as any user of the machine) someone could fill the
server's memory with one endless header, or use up its file descriptors with silent connections.
"""

import asyncio
import logging
import math
import resource
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FILES = 8_192
_MOST = 2_000
_SILENT_SECONDS = 60.0
_FRAMING = 4
"""A chunked body may have one byte of framing per this many bytes of its own."""
_LARGEST_FRAMED_BYTES = 4 << 20


@dataclass(frozen=True)
class ConnectionLimits:
    """What each connection may take, and how many there may be."""

    request_seconds: float = 60.0
    """Seconds from the first byte of a request, or the start of the connection, to the last byte of the request."""
    head_bytes: int = 64 << 10
    """The maximum size of a request's line, headers and trailers together."""
    most: int = 500
    """The maximum number of connections. Beyond it, the server closes those that have kept it waiting longest."""


class GuardedConnection(HttpToolsProtocol):
    """One limited connection. `guarded_connection` makes a subclass with its `limits`."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._around_body_bytes = 0
        self._body_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None
        """Since when it is the client's turn: to send the rest of a request, to send another, or to read. None while it
        is the server's turn."""
        super().connection_made(transport)
        self._wait_for_request()
        _make_room(self.connections, self.limits.most)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._around_body_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        framing = min(self._body_bytes, _LARGEST_FRAMED_BYTES) // _FRAMING
        if self._around_body_bytes > self.limits.head_bytes + framing:
            self.send_400_response("The head of the request is too large.")
        elif self._around_body_bytes and self.waiting_since is not None:
            self._wait_for_request()  # the response is complete, and the bytes so far are not yet a request

    def on_message_begin(self) -> None:
        self._around_body_bytes = self._body_bytes = 0
        self._wait_for_request()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._around_body_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._forget_deadline()
        self._around_body_bytes = self._body_bytes = 0
        super().on_message_complete()
        if not self.cycle.response_complete:
            self.waiting_since = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # otherwise the next request is already in progress
            self.waiting_since = self.loop.time()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.waiting_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self.waiting_since = None

    def _wait_for_request(self) -> None:
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.limits.request_seconds, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def guarded_connection(limits: ConnectionLimits) -> type[GuardedConnection]:
    """The protocol class that uvicorn instantiates for each connection."""
    return type("LimitedConnection", (GuardedConnection,), {"limits": limits})


def room_for_connections() -> int:
    """How many connections this process has room for. First raises its limit of open files as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)


class SaidRarely(logging.Filter):
    """Passes each of uvicorn's warnings once a minute: anyone can cause one per connection, and logs are kept.

    `monotonic` returns seconds that never decrease.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log the record. Only warnings are rationed, of which uvicorn has few texts; errors always pass."""
        if record.levelno != logging.WARNING:
            return True
        now = self._monotonic()
        if now - self._said_at.get(str(record.msg), -math.inf) < _SILENT_SECONDS:
            return False
        self._said_at[str(record.msg)] = now
        return True


def _make_room(connections: Iterable[object], most: int) -> None:
    """Closes the connection that has kept the server waiting longest, but none that waits for the server."""
    there = [each for each in connections if isinstance(each, GuardedConnection) and not each.transport.is_closing()]
    if len(there) <= most:
        return
    waiting = [(each.waiting_since, each) for each in there if each.waiting_since is not None]
    if waiting:
        min(waiting, key=lambda pair: pair[0])[1].transport.abort()
