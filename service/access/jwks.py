"""Fetches the identity provider's signing keys when they are needed, and caches them."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import httpx
import jwt

from service.config.access import OidcSettings

log = logging.getLogger(__name__)
MAX_BYTES = 1 << 20
DOWNLOAD_SECONDS = 5.0
"""The limit for the whole download, however slowly its bytes arrive."""


class JwksCache:
    """A cache of the signing keys. Thread-safe, but not for a thread with an event loop.

    An unknown key id makes it fetch the keys again, since the provider may have changed them, but at most once every
    `refetch_seconds`, so that tokens with made-up key ids cannot flood the provider. While the provider is unavailable,
    the cached keys stay valid. The thread that finds the keys outdated fetches them; the others keep using the cached
    ones and wait only if there are none yet. `clock` returns seconds that never go back.
    """

    def __init__(self, settings: OidcSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._lock = threading.Lock()
        """Guards the attributes above. Not held during a download."""
        self._first_fetch_over = threading.Event()

    def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """Returns the key with that id, or None. For a token without an id, returns the key if there is only one."""
        if self._is_mine_to_fetch(key_id):
            self._fetch()
        else:
            self._first_fetch_over.wait(DOWNLOAD_SECONDS)
        with self._lock:
            return self._pick(key_id)

    def _pick(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at >= self._settings.jwks_seconds

    def _is_mine_to_fetch(self, key_id: str | None) -> bool:
        with self._lock:
            if not self._is_old() and self._pick(key_id) is not None:
                return False
            now = self._clock()
            if self._tried_at is not None and now - self._tried_at < self._settings.refetch_seconds:
                return False
            self._tried_at = now
            return True

    def _fetch(self) -> None:
        began_at = self._clock()
        try:
            keys = _signing_keys(asyncio.run(_download(self._settings.jwks_url)))
        except (httpx.HTTPError, TimeoutError, ValueError, jwt.PyJWTError) as error:
            cause = str(error) or type(error).__name__
            log.warning("the signing keys at %s cannot be fetched: %s", self._settings.jwks_url, cause)
        else:
            with self._lock:
                self._keys, self._fetched_at = keys, began_at
        finally:
            self._first_fetch_over.set()


async def _download(url: str) -> Any:
    loopback = url.startswith("http://")  # the settings allow http on loopback only, which a proxy cannot reach
    async with (
        # httpx's own timeout applies to each read and would not end a download that trickles.
        asyncio.timeout(DOWNLOAD_SECONDS),
        httpx.AsyncClient(timeout=DOWNLOAD_SECONDS, trust_env=not loopback) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"the answer is {response.status_code}")
        data = b""
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > MAX_BYTES:
                raise ValueError(f"the answer has more than {MAX_BYTES} bytes")
    return httpx.Response(200, content=data).json()


def _signing_keys(document: Any) -> dict[str | None, jwt.PyJWK]:
    """Returns the public signing keys by id. Skips secrets, encryption keys and unknown kinds of keys."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is not a JWK set")
    keys: dict[str | None, jwt.PyJWK] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            keys[entry.get("kid")] = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue
    return keys
