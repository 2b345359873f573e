"""Whether a request was really meant for this service: its Host, and the web page that sent it.

Against DNS rebinding (a foreign page whose name suddenly means this machine) and against requests that a foreign page
makes the browser send. Pure: headers in, a reason to refuse out.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from service.settings import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def wrong_host(headers: Mapping[str, str], allowed_hosts: Iterable[str], any_host: bool) -> str | None:
    """Why the Host header is not one of ours. `any_host`: all are, unless some are named."""
    allowed = {name.lower() for name in allowed_hosts}
    if any_host and not allowed:
        return None
    host = _host_name(headers.get("host", ""))
    if host in allowed or is_loopback(host):
        return None
    return f"this service is not called {host!r}; its setting access.allowed_hosts says how it is"


def foreign_page(method: str, headers: Mapping[str, str], scheme: str, allowed_hosts: Iterable[str]) -> str | None:
    """Why a change was sent by a page of another site. Browsers say so by themselves; other programs say nothing."""
    if method in SAFE_METHODS:
        return None
    site = headers.get("sec-fetch-site")
    if site is not None:
        # No page can set it, and it tells what Origin does not where a page's referrer policy makes that `null`.
        # Browsers leave it out of plain http to names that are not loopback's.
        return None if site in ("same-origin", "none") else "a page of another site may not change anything here"
    origin = headers.get("origin")
    if origin is None or _address(origin) == _address(f"{scheme}://{headers.get('host', '')}"):
        return None
    # A proxy in front of us may give another Host than the browser sees; it listens where its scheme's servers do.
    if _address(origin) in {(name.lower(), port) for name in allowed_hosts for port in _DEFAULT_PORTS.values()}:
        return None
    return f"a page of {origin} may not change anything here"


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _address(origin: str) -> tuple[str | None, int | None] | None:
    """Name and port; the scheme is left out, since a proxy may have taken TLS away."""
    try:
        parts = urlsplit(origin)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
