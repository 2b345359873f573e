"""Sends one event to one receiver: signed, to a checked address, without redirects, within a time and a size."""

import hashlib
import hmac
import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult

from service.webhooks.addresses import AddressRefused, Network, checked_addresses, parse_url, port_of

logger = logging.getLogger(__name__)

TIMESTAMP_HEADER = "Noisy-Student-Timestamp"
SIGNATURE_HEADER = "Noisy-Student-Signature"
DELIVERY_HEADER = "Noisy-Student-Delivery"
EVENT_HEADER = "Noisy-Student-Event"


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt."""

    status: int | None = None
    """HTTP status of the answer; None where there was none."""
    error: str | None = None
    """Why it does not count as delivered; None where it does."""


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of timestamp, a full stop, and the body, in hex."""
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


def signed_headers(secret: str, delivery_id: str, kind: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a delivery. The timestamp, in Unix seconds, is of this attempt."""
    timestamp = str(int(now))
    return {
        "Content-Type": "application/json",
        "User-Agent": "noisy-student",
        DELIVERY_HEADER: delivery_id,
        EVENT_HEADER: kind,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: signature(secret, timestamp, body),
    }


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
        status = _post(parts, addresses[0], headers, body, timeout_seconds)
    except TimeoutError:
        return Outcome(error=f"no answer within {timeout_seconds:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Outcome(error=f"{type(error).__name__}: {error}"[:500])
    if 200 <= status < 300:
        return Outcome(status=status)
    if 300 <= status < 400:
        return Outcome(status=status, error=f"answered {status}: redirects are not followed")
    return Outcome(status=status, error=f"answered {status}")


def _post(parts: SplitResult, address: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> int:
    assert parts.hostname is not None
    raw = socket.create_connection((address, port_of(parts)), timeout_seconds)
    late = threading.Event()
    # The socket's own timeout is for each read: an answer that comes a byte at a time would hold us for hours.
    watchdog = threading.Timer(timeout_seconds, _hang_up, (raw, late))
    watchdog.daemon = True
    watchdog.start()
    try:
        connection = http.client.HTTPConnection(parts.hostname, port_of(parts), timeout=timeout_seconds)
        connection.sock = _secured(raw, parts)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        watchdog.cancel()
        raw.close()


def _secured(raw: socket.socket, parts: SplitResult) -> socket.socket:
    """With TLS where the URL says https; the certificate is checked against the URL's host."""
    if parts.scheme == "http":
        return raw
    return ssl.create_default_context().wrap_socket(raw, server_hostname=parts.hostname)


def _hang_up(raw: socket.socket, late: threading.Event) -> None:
    late.set()
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        logger.debug("the receiver had hung up itself")
