"""Decides from a request's Host and Origin whether it was meant for this service.

This prevents DNS rebinding (a foreign page's name suddenly resolves to this machine) and cross-site request forgery (a
foreign page makes the browser send requests). Pure: headers in, a reason to refuse out.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from service.settings import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


def wrong_host(headers: Mapping[str, str], allowed_hosts: Iterable[str], any_host: bool) -> str | None:
    """Why the Host header is not this service's; None if it is. `any_host` accepts all unless some are named."""
    allowed = {name.lower() for name in allowed_hosts}
    if any_host and not allowed:
        return None
    host = _host_name(headers.get("host", ""))
    if host in allowed or is_loopback(host):
        return None
    return f"this service is not called {host!r}; its setting access.allowed_hosts says how it is"


def foreign_page(method: str, headers: Mapping[str, str], scheme: str, allowed_hosts: Iterable[str]) -> str | None:
    """Why the request is a change sent by a page of another site; None if it is not.

    Browsers say where a request comes from; other programs send no such header.
    """
    if method in SAFE_METHODS:
        return None
    site = headers.get("sec-fetch-site")
    if site is not None:
        # Pages cannot set it, and it is informative even if a page's referrer policy makes Origin `null`.
        # Browsers omit it over plain http, except to loopback.
        return None if site in ("same-origin", "none") else "a page of another site may not change anything here"
    origin = headers.get("origin")
    if origin is None or _address(origin) == _address(f"{scheme}://{headers.get('host', '')}"):
        return None
    # A proxy in front may send another Host than the browser sees; it listens on the default port of its scheme.
    if _address(origin) in {(name.lower(), port) for name in allowed_hosts for port in _DEFAULT_PORTS.values()}:
        return None
    return f"a page of {origin} may not change anything here"


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _address(origin: str) -> tuple[str | None, int | None] | None:
    """Host name and port, without the scheme, because a proxy may terminate TLS."""
    try:
        parts = urlsplit(origin)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
