"""Checks the addresses of webhooks: they must be public or in a network that the operator allows.

Users choose the receivers, and the service runs inside the operator's network. Without this check a user could make it
send requests to the cloud's metadata service, to Ray's API, or to anything else that trusts its neighbours.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            # All of IANA's special-purpose address registries (RFC 6890), including the globally reachable entries: no
            # receiver has such an address. Python's own list is shorter and differs between versions.
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4"),
            *("::/8", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32"),
            *("2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
            "ff00::/8",
            # A cloud's service for its machines. Those of other clouds are in the ranges above: 169.254.169.254,
            # 192.0.0.192, 100.100.100.200, fd00:ec2::254, fd20:ce::254.
            "168.63.129.16/32",
        ),
    )
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class AddressRefused(Exception):
    """The service must not send to this URL; the message says why."""


def parse_url(url: str) -> SplitResult:
    """Parses an http or https URL that has a host and neither credentials nor a fragment. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"is not a URL: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise AddressRefused("must begin with https:// (or http:// within an allowed private network)")
    if not parts.hostname:
        raise AddressRefused("names no host")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("must not hold a user name or password: deliveries are signed")
    if parts.fragment:
        raise AddressRefused("must not have a fragment")
    if port == 0 or any(character.isspace() or not character.isprintable() for character in url):
        raise AddressRefused("is not a URL that can be sent to")
    if not url.isascii():
        raise AddressRefused("must be ASCII: write other characters of the host as xn--..., of the path as %...")
    return parts


def port_of(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]


def checked_addresses(parts: SplitResult, allowed: Sequence[Network]) -> list[str]:
    """Resolves the URL's host and returns its addresses. Raises AddressRefused if one of them is not allowed.

    Connect to one of these addresses, never to the name, which may resolve to something else a moment later.
    """
    assert parts.hostname is not None
    try:
        found = socket.getaddrinfo(parts.hostname, port_of(parts), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"{parts.hostname} cannot be resolved: {error}") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        reason = refusal(address, allowed)
        if reason is not None:
            raise AddressRefused(f"{parts.hostname} is at {address}, {reason}")
        if parts.scheme == "http" and not _is_allowed(_plain(address), allowed):
            raise AddressRefused("must begin with https://: http is for allowed private networks only")
    return addresses


def refusal(address: str, allowed: Sequence[Network]) -> str | None:
    """Returns why the service must not send to an address, or None if it may."""
    plain = _plain(address)
    if _is_allowed(plain, allowed):
        return None
    if not plain.is_global or any(plain in network for network in _NOT_PUBLIC):
        return "which is not a public address (setting webhooks.private_networks allows networks)"
    if isinstance(plain, IPv6Address) and plain not in _GLOBAL_UNICAST:
        return "which is not a global unicast address"
    return None


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Parses an address. An IPv4-mapped IPv6 address becomes IPv4, and an IPv6 zone is dropped, since it does not
    matter here."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _is_allowed(address: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> bool:
    return any(address in network for network in allowed)
