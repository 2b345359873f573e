"""Sends one event to one receiver: to an address that was checked, without redirects, before one deadline."""

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
"""Characters of an error that are kept."""


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
    """Posts the body. Never raises: what goes wrong is in the outcome. Of the answer only the status is kept.

    Not for a thread with an event loop.
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
    """The status of the answer. Raises TimeoutError, AddressRefused, httpx.HTTPError.

    httpx's own timeouts are for each read and each write: an answer that comes a byte at a time would hold us for
    hours. One deadline is around everything, looking up the name included.
    """
    end = time.monotonic() + timeout_seconds
    async with asyncio.timeout(timeout_seconds):
        parts = parse_url(url)
        addresses = await anyio.to_thread.run_sync(checked_addresses, parts, allowed, abandon_on_cancel=True)
        # Neither a proxy nor a .netrc of the environment has a say in where this goes.
        async with httpx.AsyncClient(verify=_trust(parts.scheme), trust_env=False) as client:
            return await _first_answer(client, parts, addresses, headers, body, end)


def _trust(scheme: str) -> ssl.SSLContext:
    """The system's authorities, whose reading takes 20 ms; none where there is no TLS."""
    return ssl.create_default_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _first_answer(
    client: httpx.AsyncClient,
    parts: SplitResult,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    end: float,
) -> int:
    """The status, from the first address that takes a connection; each gets its share of the time that is left."""
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
            await answer.aclose()  # unread: the body may be without end
            return answer.status_code
    raise AssertionError("a name that resolves has an address")


def _request(
    parts: SplitResult, address: str, headers: Mapping[str, str], body: bytes, timeout: httpx.Timeout
) -> httpx.Request:
    """Goes to the address that was checked; the Host and the certificate are those of the URL's host.

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
