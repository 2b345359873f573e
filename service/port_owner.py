"""Finds out whose program listens on a port of 127.0.0.1, so that no secret goes to another user's program."""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

_HOST = "127.0.0.1"


def is_anothers(url: str) -> bool:
    """Whether another user's program accepts the connections to the URL's port of 127.0.0.1.

    It is false if no program listens there, for other hosts, and on systems that do not tell (only Linux does).
    """
    parts = urlsplit(url)
    return parts.hostname == _HOST and _listener_of(parts.port or 80) not in (None, os.getuid())


def _listener_of(port: int) -> int | None:
    found: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            address, _, at = fields[1].partition(":")
            if fields[3] == _LISTENS and int(at, 16) == port:
                found[address] = int(fields[7])
    # The kernel prefers a program that listens on this very address to one that listens on all addresses.
    return next((found[address] for address in (*_AT_HOST, *_EVERYWHERE) if address in found), None)


def _in_table(address: str, family: socket.AddressFamily) -> str:
    """Returns an address in the form of the kernel's tables: words of four bytes in the machine's own byte order."""
    packed = socket.inet_pton(family, address)
    words = (int.from_bytes(packed[start : start + 4], sys.byteorder) for start in range(0, len(packed), 4))
    return "".join(f"{word:08X}" for word in words)


_LISTENS = "0A"
_AT_HOST = (_in_table(_HOST, socket.AF_INET), _in_table(f"::ffff:{_HOST}", socket.AF_INET6))
_EVERYWHERE = (_in_table("0.0.0.0", socket.AF_INET), _in_table("::", socket.AF_INET6))  # nosec B104: looked for, not bound
