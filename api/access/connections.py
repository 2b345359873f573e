"""The connections of the server: whoever takes too long over a request, or says too much around its body, is cut off.

uvicorn bounds neither, nor how many connections there are: without a credential, on loopback as any user of the
machine, somebody could fill its memory with one endless header, or take all of its files with silent connections.
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
"""Of a body that comes in chunks: one byte around it for so many of its own."""
_LARGEST_FRAMED_BYTES = 4 << 20


@dataclass(frozen=True)
class ConnectionLimits:
    """What one connection, and all of them, may take."""

    request_seconds: float = 60.0
    """From the first byte of a request, or the begin of the connection, to the request's last byte."""
    head_bytes: int = 64 << 10
    """Of a request's line, headers and trailers."""
    most: int = 500
    """Connections at once. Beyond that, those that have kept the server waiting longest are closed."""


class GuardedConnection(HttpToolsProtocol):
    """One connection. `limits` are of its class: see `guarded_connection`."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._around_body_bytes = 0
        self._body_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None
        """Since when the client is to do something: send the rest of a request, ask again, or read. None while the
        server is to."""
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
            self._wait_for_request()  # an answer was given, and what has come is not yet a request

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
        if self.cycle.response_complete:  # else another request is being answered
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
    """What uvicorn makes of each connection."""
    return type("LimitedConnection", (GuardedConnection,), {"limits": limits})


def room_for_connections() -> int:
    """How many connections this process has room for, once it may open as many files as it can be allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)


class SaidRarely(logging.Filter):
    """Lets a message of uvicorn's pass once a minute: anybody may cause one with each connection, and logs are kept.

    `monotonic` gives seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Errors pass always: each is one of ours. The messages are few, uvicorn's own words."""
        if record.levelno != logging.WARNING:
            return True
        now = self._monotonic()
        if now - self._said_at.get(str(record.msg), -math.inf) < _SILENT_SECONDS:
            return False
        self._said_at[str(record.msg)] = now
        return True


def _make_room(connections: Iterable[object], most: int) -> None:
    """Cuts off who has kept the server waiting longest; nobody whom the server keeps waiting."""
    there = [each for each in connections if isinstance(each, GuardedConnection) and not each.transport.is_closing()]
    if len(there) <= most:
        return
    waiting = [(each.waiting_since, each) for each in there if each.waiting_since is not None]
    if waiting:
        min(waiting, key=lambda pair: pair[0])[1].transport.abort()
