"""Finds the caller of an API key: looks it up in the database and remembers it for a moment."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import TLRUCache

from service.access.api_keys import secret_fits, split_key
from service.access.key_commands import is_good, principal_of
from service.access.principal import Principal
from service.errors import Unauthenticated
from service.store.database import Database
from service.store.schema.caller_tables import ApiKeyRow

REMEMBERED_SECONDS = 1.0
"""How long this process may still accept a key that another process has revoked. Without this memory, fifty requests
per second would take a tenth of a core for lookups."""
_REMEMBERED_KEYS = 1_000


@dataclass(frozen=True)
class _Known:
    principal: Principal
    expires_at: float | None
    looked_up_at: float


class KnownKeys:
    """The callers of API keys, with a short memory. Thread-safe.

    `clock` returns Unix seconds; `monotonic` returns seconds that never go back.
    """

    def __init__(self, database: Database, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: TLRUCache[bytes, _Known] = TLRUCache(_REMEMBERED_KEYS, _good_until, timer=monotonic)

    def recall(self, text: str) -> Principal | None:
        """Returns the key's caller if the key was valid a moment ago, else None. Makes no query."""
        with self._lock:
            known = self._known.get(_digest(text))
        if known is None:
            return None
        expired = known.expires_at is not None and self._clock() >= known.expires_at
        return None if expired else known.principal

    def find(self, text: str) -> Principal:
        """Returns the key's caller. Raises Unauthenticated if the key is unknown, expired or revoked."""
        return self.recall(text) or self._look_up(text)

    def forget(self, key_id: str) -> None:
        """Forgets a revoked key."""
        with self._lock:
            for digest in [digest for digest, known in self._known.items() if known.principal.subject == key_id]:
                self._known.pop(digest, None)

    def _look_up(self, text: str) -> Principal:
        refusal = Unauthenticated("the API key is unknown, expired or revoked")
        parts = split_key(text)
        if parts is None:
            raise refusal
        key_id, secret = parts
        now = self._monotonic()
        with self._database.read_once() as session:
            row = session.get(ApiKeyRow, key_id)
            fits = secret_fits(secret, None if row is None else row.secret_hash)
            if row is None or not fits or not is_good(row, self._clock()):
                raise refusal
            known = _Known(principal_of(row, "key"), row.expires_at, now)
        with self._lock:
            self._known[_digest(text)] = known
        return known.principal


def _good_until(_digest: bytes, known: _Known, _now: float) -> float:
    """Returns when to forget a key, counted from before its lookup: a key that is revoked during the lookup is then
    accepted no longer than any other."""
    return known.looked_up_at + REMEMBERED_SECONDS


def _digest(text: str) -> bytes:
    """Returns what to keep in memory instead of the key. The time of comparing digests reveals nothing about a key."""
    return hashlib.sha256(text.encode()).digest()
