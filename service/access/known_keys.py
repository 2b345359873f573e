"""Whose an API key is: looked up in the database, and remembered for a moment."""

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
"""How long a key that another process revokes is still taken here. Looking each of fifty requests a second up takes a
tenth of a core."""
_REMEMBERED_KEYS = 1_000


@dataclass(frozen=True)
class _Known:
    principal: Principal
    expires_at: float | None
    looked_up_at: float


class KnownKeys:
    """Thread-safe. `clock` gives Unix seconds, `monotonic` seconds that never go back."""

    def __init__(self, database: Database, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: TLRUCache[bytes, _Known] = TLRUCache(_REMEMBERED_KEYS, _good_until, timer=monotonic)

    def recall(self, text: str) -> Principal | None:
        """Whose the key is, if it was found to be good a moment ago. Does not touch the database."""
        with self._lock:
            known = self._known.get(_digest(text))
        if known is None:
            return None
        expired = known.expires_at is not None and self._clock() >= known.expires_at
        return None if expired else known.principal

    def find(self, text: str) -> Principal:
        """Whose the key is. Raises Unauthenticated."""
        return self.recall(text) or self._look_up(text)

    def forget(self, key_id: str) -> None:
        """The key was revoked."""
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
    """Counted from before the look: a key that is revoked meanwhile is taken no longer than any other."""
    return known.looked_up_at + REMEMBERED_SECONDS


def _digest(text: str) -> bytes:
    """What is kept in memory instead of the key; nobody can aim at another's by how long a comparison takes."""
    return hashlib.sha256(text.encode()).digest()
