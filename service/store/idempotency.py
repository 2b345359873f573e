"""Idempotency keys: a request repeated with the same key is carried out once and gets the first answer again."""

import hashlib
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.errors import Conflict, InvalidRequest, TooManyRequests
from service.store.database import Database
from service.store.schema.caller_tables import IdempotencyKeyRow
from service.store.visibility import acting_caller, visible_projects
from service.views.base import View

MAX_KEY_LENGTH = 200
MAX_ANSWERS_OF_CALLER = 10_000
ANSWERS_KEPT_SECONDS = 7 * 86_400.0
"""How long a repeated request gets the first answer."""


def request_hash(kind: str, body: BaseModel | None = None) -> str:
    """Returns a hash that equal requests share. `kind` names the request and what it acts on."""
    content = "" if body is None else body.model_dump_json()
    return hashlib.blake2b(f"{kind}\n{content}".encode(), digest_size=16).hexdigest()


def check_key(key: str) -> None:
    """Raises InvalidRequest for a key that is empty or too long."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise InvalidRequest("Idempotency-Key", f"a key has 1 to {MAX_KEY_LENGTH} characters")


def first_answer(session: Session, key: str, request: str) -> str | None:
    """Returns the JSON of the first answer to this request, or None if it is new.

    Raises Conflict if the key was used for another request.
    """
    row = session.get(IdempotencyKeyRow, _own(key))
    if row is None:
        return None
    if row.request_hash != request:
        raise Conflict(f"the idempotency key {key!r} was used before, for another request")
    return row.answer


def remember_answer(session: Session, key: str, request: str, answer: str, now: float) -> None:
    """Stores the first answer, in the same transaction as the changes that it reports.

    Raises TooManyRequests if MAX_ANSWERS_OF_CALLER answers are stored for the caller. No honest caller comes near that
    number, and each answer takes a few kilobytes.
    """
    caller = acting_caller()
    kept = select(func.count()).where(IdempotencyKeyRow.caller == caller)
    if session.execute(kept).scalar_one() >= MAX_ANSWERS_OF_CALLER:
        raise TooManyRequests(ANSWERS_KEPT_SECONDS / MAX_ANSWERS_OF_CALLER)
    session.add(IdempotencyKeyRow(key=_own(key), request_hash=request, answer=answer, caller=caller, created_at=now))
    session.flush()


def forget_answers(session: Session, before: float) -> None:
    """Deletes the answers given before a time in Unix seconds: nobody repeats a request that late."""
    session.execute(delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at < before))


def _own(key: str) -> str:
    """Returns the key as stored, with the caller's projects: callers of different projects may choose the same key."""
    projects = visible_projects()
    # The API accepts no key with a control character, so the separator is unambiguous.
    return key if projects is None else f"{' '.join(sorted(projects))}\x1f{key}"


Answer = TypeVar("Answer", bound=View)


class OnceAnswers:
    """Carries each request out once per idempotency key. Thread-safe. `clock` returns Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def first(self, key: str | None, asked: str, kind: type[Answer]) -> Answer | None:
        if key is None:
            return None
        check_key(key)
        with self._database.read_once() as session:
            answer = first_answer(session, key, asked)
        return None if answer is None else kind.model_validate_json(answer)

    def once(
        self, key: str | None, asked: str, kind: type[Answer], carry_out: Callable[[Session, float], Answer]
    ) -> Answer:
        """Carries the request out and stores its answer under the key, in one transaction.

        A repeated request is not carried out; it gets the first answer.
        """
        if (answer := self.first(key, asked, kind)) is not None:
            return answer
        try:
            with self._database.write() as session:
                now = self._clock()
                view = carry_out(session, now)
                if key is not None:
                    remember_answer(session, key, asked, view.model_dump_json(), now)
            return view
        except (IntegrityError, Conflict):
            # The same request may have arrived twice at once, and the other one was first.
            if (answer := self.first(key, asked, kind)) is not None:
                return answer
            raise
