"""The API's address and how to connect to it, from arguments or the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from noisy_student.errors import API_KEY_VARIABLE, ApiError
from noisy_student.own_keys import own_key

API_VARIABLE = "NOISY_STUDENT_API"
CA_FILE_VARIABLE = "NOISY_STUDENT_API_CA_FILE"
CLIENT_CERTIFICATE_VARIABLE = "NOISY_STUDENT_API_CLIENT_CERTIFICATE"
CLIENT_KEY_VARIABLE = "NOISY_STUDENT_API_CLIENT_KEY"
DEFAULT_API = "http://127.0.0.1:8000"
_THIS_MACHINE = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Tls:
    """The certificates with which server and client identify each other, as PEM files."""

    ca_file: Path | None = None
    """Certificates to verify the server with, instead of this machine's."""
    client_certificate: Path | None = None
    client_key: Path | None = None
    """The client's private key; None if the certificate's file contains it."""


@dataclass(frozen=True)
class Connection:
    """One API and how to connect to it. All times are seconds."""

    api: str
    key: str | None = field(repr=False)
    tls: Tls = Tls()
    timeout_seconds: float = 600.0
    """How long to wait for a response. It is long, because registering a dataset reads every row of it."""
    connect_timeout_seconds: float = 5.0
    retries: int = 2
    """How often to repeat a request, if that is safe, when nothing responds or the service asks to retry later."""
    patience_seconds: float = 120.0
    """How long a wait or a stream tolerates an API that does not respond. A restarting API is back in seconds."""

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the API is on this machine, so that a proxy in the environment must not be used."""
        return urlsplit(self.api).hostname in _THIS_MACHINE

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def connection_to(
    api: str | None,
    key: str | None,
    ca_file: str | Path | None,
    client_certificate: str | Path | None,
    client_key: str | Path | None,
    timeout_seconds: float,
    retries: int,
    environment: Mapping[str, str] = os.environ,
) -> Connection:
    """The connection for these arguments; the environment fills in what is None. Raises ApiError for invalid values."""

    def path(given: str | Path | None, variable: str) -> Path | None:
        found = given or environment.get(variable)
        return Path(found) if found else None

    tls = Tls(
        ca_file=path(ca_file, CA_FILE_VARIABLE),
        client_certificate=path(client_certificate, CLIENT_CERTIFICATE_VARIABLE),
        client_key=path(client_key, CLIENT_KEY_VARIABLE),
    )
    address = _checked_address(api or environment.get(API_VARIABLE) or DEFAULT_API)
    return Connection(
        api=address,
        key=_checked_key(key or known_key(address, environment)),
        tls=tls,
        timeout_seconds=timeout_seconds,
        retries=retries,
    )


def known_key(api: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key in the environment, or else the key of the local stack at this address. Raises ApiError if invalid."""
    try:
        return environment.get(API_KEY_VARIABLE) or own_key(api)
    except OSError as error:
        raise ApiError(str(error)) from error


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a stray bracket, or a port that is not a number
        good = False
    if not good:
        raise ApiError(f"{address!r} is no address of an API: http://HOST:PORT or https://HOST")
    return address.rstrip("/")


def _checked_key(key: str | None) -> str | None:
    """The key without the line feed that a file ends in. Raises ApiError if it cannot be sent in a header."""
    key = None if key is None else key.strip()
    if key and not (key.isascii() and key.isprintable()):
        raise ApiError(f"the API key has characters that no key has; look at {API_KEY_VARIABLE}")
    return key or None
