"""Sends one event to one receiver: to a checked address, without following redirects, within one deadline."""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult

import anyio.to_thread
import httpx

from service.webhooks.addresses import AddressRefused, Network, checked_addresses, parse_url, port_of

_SHORTEST_SECONDS = 0.001
_LONGEST_ERROR = 500
"""How many characters of an error to keep."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attempt at a delivery."""

    status: int | None = None
    """The answer's HTTP status; None if there was no answer."""
    error: str | None = None
    """Why the attempt does not count as delivered; None if it does."""


def send(
    url: str, headers: Mapping[str, str], body: bytes, allowed: Sequence[Network], timeout_seconds: float
) -> Outcome:
    """Posts the body and returns the outcome, which keeps only the status of the answer.

    It reports errors in the outcome and never raises. Do not call it in a thread with an event loop.
    """
    try:
        status = asyncio.run(_post(url, headers, body, allowed, timeout_seconds))
    except AddressRefused as refusal:
        return Outcome(error=f"not sent: {refusal}")
    except TimeoutError:
        return Outcome(error=f"no answer within {timeout_seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Outcome(error=f"{type(error).__name__}: {error}"[:_LONGEST_ERROR])
    if 200 <= status < 300:
        return Outcome(status=status)
    if 300 <= status < 400:
        return Outcome(status=status, error=f"answered {status}: redirects are not followed")
    return Outcome(status=status, error=f"answered {status}")


async def _post(
    url: str, headers: Mapping[str, str], body: bytes, allowed: Sequence[Network], timeout_seconds: float
) -> int:
    """Returns the answer's HTTP status. Raises TimeoutError, AddressRefused, httpx.HTTPError.

    One deadline covers everything, including the name lookup. httpx's own timeouts apply to each read and each write,
    so an answer that arrives one byte at a time could take hours.
    """
    end = time.monotonic() + timeout_seconds
    async with asyncio.timeout(timeout_seconds):
        parts = parse_url(url)
        addresses = await anyio.to_thread.run_sync(checked_addresses, parts, allowed, abandon_on_cancel=True)
        # No proxy or .netrc of the environment may change where this request goes.
        async with httpx.AsyncClient(verify=_trust(parts.scheme), trust_env=False) as client:
            return await _first_answer(client, parts, addresses, headers, body, end)


def _trust(scheme: str) -> ssl.SSLContext:
    """Returns a context that trusts the system's authorities, or none for http, since loading them takes 20 ms."""
    return ssl.create_default_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _first_answer(
    client: httpx.AsyncClient,
    parts: SplitResult,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    end: float,
) -> int:
    """Returns the status from the first address that accepts a connection. Each gets a share of the remaining time."""
    for number, address in enumerate(addresses):
        share = (end - time.monotonic()) / (len(addresses) - number)
        connect = httpx.Timeout(None, connect=max(share, _SHORTEST_SECONDS))
        request = _request(parts, address, headers, body, connect)
        try:
            answer = await client.send(request, stream=True, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if number == len(addresses) - 1:
                raise
        else:
            await answer.aclose()  # do not read the body: it may be endless
            return answer.status_code
    raise AssertionError("a name that resolves has an address")


def _request(
    parts: SplitResult, address: str, headers: Mapping[str, str], body: bytes, timeout: httpx.Timeout
) -> httpx.Request:
    """Builds the request to the checked address. The Host header and the certificate check use the URL's host.

    https://www.python-httpx.org/advanced/extensions/#sni_hostname
    """
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return httpx.Request(
        "POST",
        httpx.URL(scheme=parts.scheme, host=address, port=port_of(parts), raw_path=target.encode()),
        headers={"Host": parts.netloc, "Connection": "close", **headers},
        content=body,
        extensions={"sni_hostname": parts.hostname, "timeout": timeout.as_dict()},
    )
