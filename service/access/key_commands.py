"""Creates, lists and revokes API keys."""

import time
from collections.abc import Callable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.access.api_keys import NewKey, new_key
from service.access.principal import Principal
from service.config.access import KeyRequest, Scope
from service.errors import Conflict, Forbidden, InvalidRequest
from service.store.database import Database
from service.store.idempotency import OnceAnswers, request_hash
from service.store.paging import get_row, read_page
from service.store.schema.caller_tables import ApiKeyRow
from service.views.access import CreatedKey, KeyView
from service.views.base import Page, as_time, time_or_none


class KeyCommands:
    """The commands on API keys. Thread-safe. A caller sees and revokes only the keys of its own projects.

    `clock` returns Unix seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._answers = OnceAnswers(database, clock)

    def create_key(
        self,
        request: KeyRequest,
        created_by: str,
        projects: frozenset[str] | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedKey:
        """Creates a key. Raises Forbidden if its project is not among the creator's `projects`, and InvalidRequest.

        Only this answer contains the key. Repeating the request with the same idempotency key raises Conflict, because
        the key's text is not stored and cannot be shown again.
        """
        if projects is not None and request.project not in projects:
            allowed = " or ".join(map(repr, sorted(projects))) or "none"
            raise Forbidden(f"you may make keys for your own projects only: project must be {allowed}")
        asked = request_hash("create_key", request)
        first = self._answers.first(idempotency_key, asked, KeyView)
        if first is not None:
            raise Conflict(f"this request made {first.id} before; a key is shown once")
        drawn = new_key()

        def create(session: Session, now: float) -> KeyView:
            expires_at = None if request.expires_at is None else request.expires_at.timestamp()
            if expires_at is not None and expires_at <= now:
                raise InvalidRequest("expires_at", "lies in the past")
            return _insert(session, request, drawn, created_by, expires_at, now)

        made = self._answers.once(idempotency_key, asked, KeyView, create)
        if made.id != drawn.key_id:
            raise Conflict(f"this request made {made.id} at the same time; a key is shown once")
        return CreatedKey(**made.model_dump(), key=drawn.text)

    def list_keys(self, limit: int = 50, cursor: str | None = None) -> Page[KeyView]:
        """Returns a page of keys, newest first, including revoked and expired ones."""
        with self._database.read_once() as session:
            rows, following = read_page(session, ApiKeyRow, (ApiKeyRow.created_at, ApiKeyRow.id), limit, cursor)
            return Page(items=[_view(row) for row in rows], next_cursor=following)

    def revoke_key(self, key_id: str, with_made: bool = False) -> list[KeyView]:
        """Revokes the key and every session opened with it. Repeating this is no error. Raises NotFound.

        With `with_made`, it also revokes the keys that the key created, those that they created, and so on. Returns the
        keys that are now revoked, the key itself first.
        """
        with self._database.write() as session:
            row = get_row(session, ApiKeyRow, key_id, "key", key_id)
            rows = [row, *(_made_by(session, key_id) if with_made else ())]
            for each in rows:
                if each.revoked_at is None:
                    each.revoked_at = self._clock()
            return [_view(each) for each in rows]

    def revoke_made_by(self, maker: str) -> None:
        """Revokes every key that `maker` has created."""
        made = update(ApiKeyRow).where(ApiKeyRow.created_by == maker, ApiKeyRow.revoked_at.is_(None))
        with self._database.write() as session:
            session.execute(made.values(revoked_at=self._clock()))


def principal_of(row: ApiKeyRow, kind: str) -> Principal:
    """Returns the caller that the key identifies. `kind` is "session" for a web session, else the kind is "key"."""
    return Principal(
        subject=row.id,
        kind="session" if kind == "session" else "key",
        scope=Scope(row.scope),
        projects=None if row.project is None else frozenset({row.project}),
    )


def is_good(row: ApiKeyRow, now: float) -> bool:
    """Whether the key is neither revoked nor, at `now` in Unix seconds, expired."""
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _made_by(session: Session, key_id: str) -> list[ApiKeyRow]:
    """Returns the keys that a key created, directly or through other keys. The search ends because no key created
    itself and each has one creator."""
    found: list[ApiKeyRow] = []
    makers = [key_id]
    while makers:
        made = session.scalars(select(ApiKeyRow).where(ApiKeyRow.created_by.in_(makers))).all()
        found.extend(made)
        makers = [row.id for row in made]
    return found


def _insert(
    session: Session, request: KeyRequest, drawn: NewKey, created_by: str, expires_at: float | None, now: float
) -> KeyView:
    row = ApiKeyRow(
        id=drawn.key_id,
        secret_hash=drawn.secret_hash,
        name=request.name,
        scope=request.scope,
        project=request.project,
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    return _view(row)


def _view(row: ApiKeyRow) -> KeyView:
    return KeyView(
        id=row.id,
        name=row.name,
        scope=Scope(row.scope),
        project=row.project,
        created_at=as_time(row.created_at),
        created_by=row.created_by,
        expires_at=time_or_none(row.expires_at),
        revoked_at=time_or_none(row.revoked_at),
    )
