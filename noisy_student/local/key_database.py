"""Manages API keys directly in the settings' database, without the API, which is how the first key is created."""

import getpass
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from sqlalchemy.engine import make_url

from api.error_responses import status_of
from noisy_student.errors import refusal
from service.access.audit import AuditedRequest, AuditLog
from service.access.key_commands import KeyCommands
from service.config.access import KeyRequest
from service.errors import ServiceError
from service.settings import settings_of_process
from service.store.database import Database
from service.store.migrate import upgrade
from service.views.access import CreatedKey, KeyView
from service.views.problem import FieldError, Problem

Answer = TypeVar("Answer", bound=KeyView)
_MOST = 200


class KeyDatabase:
    """Has the methods of the client's `keys`. The audit log records their changes under this user's name.

    Migrates the database first. All methods raise Refused, as the API would refuse.
    """

    def __init__(self) -> None:
        url = settings_of_process().database_url
        self.address = make_url(url).render_as_string(hide_password=True)
        upgrade(url)
        self._database = Database(url)
        self._commands = KeyCommands(self._database)
        self._audit = AuditLog(self._database)
        self._user = f"cli:{getpass.getuser()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def create(self, request: Mapping[str, Any]) -> CreatedKey:
        """Creates a key and returns it with its secret."""
        with _as_api_errors():
            wanted = KeyRequest.model_validate(request, strict=False)
            return self._audited("POST", "/keys", 201, lambda: self._commands.create_key(wanted, self._user))

    def list(self, limit: int) -> Sequence[KeyView]:
        """The first `limit` keys, newest first."""
        with _as_api_errors():
            return self._commands.list_keys(min(limit, _MOST)).items

    def revoke(self, key_id: str, *, with_made: bool) -> KeyView:
        """Revokes a key, and with `with_made` also the keys that it created."""
        with _as_api_errors():
            return self._audited(
                "DELETE", f"/keys/{key_id}", 200, lambda: self._commands.revoke_key(key_id, with_made)[0]
            )

    def _audited(self, method: str, path: str, success: int, change: Callable[[], Answer]) -> Answer:
        request = AuditedRequest(self._user, "cli", None, "local", f"cli-{os.getpid()}", method, path)
        entry = self._audit.begin(request)
        try:
            answer = change()
        except ServiceError as error:
            self._audit.finish(entry, status_of(error))
            raise
        self._audit.finish(entry, success, f"/keys/{answer.id}")
        return answer


@contextmanager
def _as_api_errors() -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        raise refusal(_problem(status_of(error), str(error))) from error
    except ValidationError as error:
        wrong = [
            FieldError(field=".".join(map(str, each["loc"])), message=each["msg"])
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise refusal(_problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid request", wrong)) from error


def _problem(status: int, detail: str, errors: Sequence[FieldError] = ()) -> Problem:
    """The problem document that the API would answer, so that the command ends as it would over REST."""
    title = HTTPStatus(status).phrase
    return Problem(type="about:blank", title=title, status=status, detail=detail, instance="/keys", errors=[*errors])
