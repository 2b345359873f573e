"""The API's address and how to connect to it, from arguments, the environment or a profile."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from noisy_student.errors import API_KEY_VARIABLE, ApiError
from noisy_student.own_keys import own_key
from noisy_student.profiles import PROFILE_VARIABLE, Profile, load_profiles

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
    profile: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Connection:
    """The connection for these arguments. The environment fills in what is None, and a profile what is left: that of
    the name, of the environment, or the current one. Raises ApiError for invalid values and an unknown profile.

    The key and the TLS files of a profile are used for the profile's own address only.
    """
    kept = _profile(profile, environment)
    address = checked_address(api or environment.get(API_VARIABLE) or (kept.api if kept else DEFAULT_API))
    own = kept if kept is not None and kept.api == address else Profile(address)

    def path(given: str | Path | None, variable: str, of_profile: str | None) -> Path | None:
        found = given or environment.get(variable) or of_profile
        return Path(found) if found else None

    tls = Tls(
        ca_file=path(ca_file, CA_FILE_VARIABLE, own.ca_file),
        client_certificate=path(client_certificate, CLIENT_CERTIFICATE_VARIABLE, own.client_certificate),
        client_key=path(client_key, CLIENT_KEY_VARIABLE, own.client_key),
    )
    return Connection(
        api=address,
        key=_checked_key(key or environment.get(API_KEY_VARIABLE) or own.key or _own_key(address)),
        tls=tls,
        timeout_seconds=timeout_seconds,
        retries=retries,
    )


def address_of_profile(environment: Mapping[str, str] = os.environ) -> str:
    """The address that the environment's or the current profile gives, else that of a service on this machine."""
    kept = _profile(None, environment)
    return DEFAULT_API if kept is None else kept.api


def known_key(api: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key for this address: in the environment, of its profile, or of the local stack. Raises ApiError."""
    kept = _profile(None, environment)
    of_profile = kept.key if kept is not None and kept.api == api.rstrip("/") else None
    return environment.get(API_KEY_VARIABLE) or of_profile or _own_key(api)


def _profile(name: str | None, environment: Mapping[str, str]) -> Profile | None:
    return load_profiles(environment).chosen(name or environment.get(PROFILE_VARIABLE))


def _own_key(api: str) -> str | None:
    try:
        return own_key(api)
    except OSError as error:
        raise ApiError(str(error)) from error


def checked_address(address: str) -> str:
    """The address without a slash at its end. Raises ApiError if no API can have it."""
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
