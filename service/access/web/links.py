"""Links that log a browser in once: how the web page is opened by somebody whose key no person has seen."""

import hashlib
import secrets
import time
from collections.abc import Callable

from sqlalchemy import delete

from service.store.database import Database
from service.store.schema.caller_tables import WebLinkRow

LINK_SECONDS = 900.0
"""Time to click on it, or to copy it; it is worth a session to whoever comes first."""


class WebLinks:
    """Thread-safe. Kept in the database, so that every process of the API knows them. `clock` gives Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def make(self, key_id: str) -> str:
        """A new ticket of the key, of which only a hash is stored."""
        ticket, now = secrets.token_urlsafe(32), self._clock()
        with self._database.write() as session:
            session.execute(delete(WebLinkRow).where(WebLinkRow.expires_at <= now))
            session.add(WebLinkRow(ticket_hash=_hash(ticket), key_id=key_id, expires_at=now + LINK_SECONDS))
        return ticket

    def take(self, ticket: str) -> str | None:
        """The id of the ticket's key, once; None for one that was taken, has expired or never was."""
        wanted = delete(WebLinkRow).where(
            WebLinkRow.ticket_hash == _hash(ticket), WebLinkRow.expires_at > self._clock()
        )
        with self._database.read_once() as session:
            if session.get(WebLinkRow, _hash(ticket)) is None:
                return None  # whoever guesses does not take the turn of those who write
        with self._database.write() as session:
            return session.execute(wanted.returning(WebLinkRow.key_id)).scalar_one_or_none()


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
