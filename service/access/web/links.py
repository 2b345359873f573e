"""Links that log a browser in once. They open the web page for a user whose key no person has seen."""

import hashlib
import secrets
import time
from collections.abc import Callable

from sqlalchemy import delete

from service.store.database import Database
from service.store.schema.caller_tables import WebLinkRow

LINK_SECONDS = 900.0
"""How long a link is valid: enough to click or copy it, but short, since it logs in whoever uses it first."""


class WebLinks:
    """The login links. Thread-safe. The database holds them, so that every API process knows them.

    `clock` returns Unix seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def make(self, key_id: str) -> str:
        """Returns a new ticket for the key. Only its hash is stored."""
        ticket, now = secrets.token_urlsafe(32), self._clock()
        with self._database.write() as session:
            session.execute(delete(WebLinkRow).where(WebLinkRow.expires_at <= now))
            session.add(WebLinkRow(ticket_hash=_hash(ticket), key_id=key_id, expires_at=now + LINK_SECONDS))
        return ticket

    def take(self, ticket: str) -> str | None:
        """Returns the id of the ticket's key, once. Returns None if the ticket was used, has expired or is unknown."""
        wanted = delete(WebLinkRow).where(
            WebLinkRow.ticket_hash == _hash(ticket), WebLinkRow.expires_at > self._clock()
        )
        with self._database.read_once() as session:
            if session.get(WebLinkRow, _hash(ticket)) is None:
                return None  # a guessed ticket must not occupy a writer's connection
        with self._database.write() as session:
            return session.execute(wanted.returning(WebLinkRow.key_id)).scalar_one_or_none()


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
