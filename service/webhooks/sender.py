"""Sends one event to one receiver: to a checked address, without redirects, within a time and a size."""

import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult

from service.webhooks.addresses import AddressRefused, Network, checked_addresses, parse_url, port_of

logger = logging.getLogger(__name__)

_SHORTEST_SECONDS = 0.001
"""Zero as a socket's timeout would mean not to wait at all."""


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt."""

    status: int | None = None
    """HTTP status of the answer; None where there was none."""
    error: str | None = None
    """Why it does not count as delivered; None where it does."""


def send(
    url: str, headers: Mapping[str, str], body: bytes, allowed: Sequence[Network], timeout_seconds: float
) -> Outcome:
    """Posts the body. Never raises: what goes wrong is in the outcome. Of the answer only the status is read."""
    try:
        parts = parse_url(url)
        addresses = checked_addresses(parts, allowed)
    except AddressRefused as error:
        return Outcome(error=f"not sent: {error}")
    try:
        status = _post(parts, addresses, headers, body, timeout_seconds)
    except TimeoutError:
        return Outcome(error=f"no answer within {timeout_seconds:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Outcome(error=f"{type(error).__name__}: {error}"[:500])
    if 200 <= status < 300:
        return Outcome(status=status)
    if 300 <= status < 400:
        return Outcome(status=status, error=f"answered {status}: redirects are not followed")
    return Outcome(status=status, error=f"answered {status}")


def _post(
    parts: SplitResult, addresses: Sequence[str], headers: Mapping[str, str], body: bytes, timeout_seconds: float
) -> int:
    assert parts.hostname is not None
    end = time.monotonic() + timeout_seconds
    with _Line(_connected(addresses, port_of(parts), end), end) as line:
        if parts.scheme == "https":
            line.secure(parts.hostname)
        connection = http.client.HTTPConnection(parts.hostname, port_of(parts), timeout=timeout_seconds)
        connection.sock = line.socket
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
        return connection.getresponse().status


def _connected(addresses: Sequence[str], port: int, end: float) -> socket.socket:
    """A connection to the first address that takes one; each gets its share of the time that is left."""
    for number, address in enumerate(addresses):
        share = (end - time.monotonic()) / (len(addresses) - number)
        try:
            return socket.create_connection((address, port), max(share, _SHORTEST_SECONDS))
        except OSError:
            if number == len(addresses) - 1:
                raise
    raise AssertionError("a name that resolves has an address")


class _Line:
    """A connection that is cut at a time of the monotonic clock; its block then ends with TimeoutError.

    A socket's own timeout is for each read: an answer that comes a byte at a time would hold us for hours.
    """

    def __init__(self, raw: socket.socket, end: float) -> None:
        self.socket = raw
        self._late = threading.Event()
        self._watchdog = threading.Timer(end - time.monotonic(), self._cut)
        self._watchdog.daemon = True

    def __enter__(self) -> Self:
        self._watchdog.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._watchdog.cancel()
        self.socket.close()
        if self._late.is_set() and isinstance(error, (OSError, http.client.HTTPException)):
            raise TimeoutError from error

    def secure(self, hostname: str) -> None:
        """Goes on with TLS; the certificate is checked against the URL's host."""
        context = ssl.create_default_context()
        # This empties the raw socket, so that the handshake must wait until the watchdog can reach its successor.
        self.socket = context.wrap_socket(self.socket, server_hostname=hostname, do_handshake_on_connect=False)
        if self._late.is_set():
            raise TimeoutError
        self.socket.do_handshake()

    def _cut(self) -> None:
        self._late.set()
        try:
            # Not SSLSocket's own: that one takes the TLS away from under the thread that reads.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        except OSError:
            logger.debug("the receiver had hung up itself")
