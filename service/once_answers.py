"""Carries a request out once for each idempotency key, and answers it alike ever after."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.store.database import Database
from service.store.idempotency import check_key, first_answer, remember_answer
from service.views.base import View

Answer = TypeVar("Answer", bound=View)


class OnceAnswers:
    """Thread-safe. `clock` gives Unix seconds."""

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
        """Carries the request out and keeps its answer under the key, in one transaction; or gives the first answer."""
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
            # The same request may have come twice at once, and the other one was first.
            if (answer := self.first(key, asked, kind)) is not None:
                return answer
            raise
