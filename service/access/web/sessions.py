"""Web sessions: a random token in a cookie stands for the key that the user logged in with."""

import hashlib
import secrets
import time
from collections.abc import Callable

from sqlalchemy import delete, select

from service.access.key_commands import is_good, principal_of
from service.access.principal import Principal
from service.store.database import Database
from service.store.schema.caller_tables import ApiKeyRow, WebSessionRow

MOST_OF_KEY = 100
"""How many sessions one key may have at a time. One more ends the oldest."""


class WebSessions:
    """The web sessions. Thread-safe. The database holds them, so that every API process knows them.

    `clock` returns Unix seconds.
    """

    def __init__(self, database: Database, lifetime_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._database = database
        self._clock = clock

    def open(self, key_id: str) -> str:
        """Opens a session for the key and returns the token for the cookie. Only its hash is stored."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with self._database.write() as session:
            session.execute(delete(WebSessionRow).where(WebSessionRow.expires_at <= now))
            of_key = select(WebSessionRow.token_hash).where(WebSessionRow.key_id == key_id)
            oldest = session.scalars(of_key.order_by(WebSessionRow.expires_at.desc()).offset(MOST_OF_KEY - 1)).all()
            session.execute(delete(WebSessionRow).where(WebSessionRow.token_hash.in_(oldest)))
            session.add(WebSessionRow(token_hash=_hash(token), key_id=key_id, expires_at=now + self.lifetime_seconds))
        return token

    def find(self, token: str) -> Principal | None:
        """Returns the caller, or None if the session or its key is unknown, expired or revoked."""
        now = self._clock()
        with self._database.read() as session:
            row = session.get(WebSessionRow, _hash(token))
            key = None if row is None else session.get(ApiKeyRow, row.key_id)
            if row is None or key is None or now >= row.expires_at or not is_good(key, now):
                return None
            return principal_of(key, "session")

    def close(self, token: str) -> None:
        """Ends the session if it exists."""
        with self._database.write() as session:
            session.execute(delete(WebSessionRow).where(WebSessionRow.token_hash == _hash(token)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
