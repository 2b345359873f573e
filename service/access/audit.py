"""The audit log: it records every change that a caller requests, before the change is carried out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, func, select, true, update

from service.store.audit_target import project_of_path
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.caller_tables import REFUSED, AuditRow
from service.store.visibility import visible_projects
from service.views.access import AuditEntryView
from service.views.base import Page, as_time
from workers.specs.text import shown

_DAY_SECONDS = 86_400.0
_STRUCK_AT_ONCE = 5_000
_LONGEST = 500
"""How many characters to keep of text that a caller may choose freely."""


@dataclass(frozen=True)
class AuditedRequest:
    """A request for a change: who makes it, for what, and from which address."""

    subject: str
    kind: str
    project: str | None
    address: str
    request_id: str
    method: str
    path: str


class AuditLog:
    """The audit log. Thread-safe. Database triggers make it append-only. `clock` returns Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def begin(self, request: AuditedRequest) -> int:
        """Writes the entry, still without an outcome, and returns its id. No change may happen without an entry."""
        with self._database.write_once() as session:
            row = AuditRow(
                at=self._clock(),
                subject=shown(request.subject[:_LONGEST]),
                kind=request.kind,
                project=request.project,
                target_project=project_of_path(session, request.path),
                address=request.address,
                request_id=request.request_id,
                method=request.method,
                path=shown(request.path[:_LONGEST]),
            )
            session.add(row)
            session.flush()
            return row.id

    def finish(self, entry_id: int, status: int, location: str | None = None) -> None:
        """Adds the outcome to the entry: the HTTP status, and the path of what was created, if anything."""
        with self._database.write_once() as session:
            values: dict[str, Any] = {"status": status, "location": location}
            if (made_in := project_of_path(session, location)) is not None:
                values["target_project"] = func.coalesce(AuditRow.target_project, made_in)
            session.execute(
                update(AuditRow).where(AuditRow.id == entry_id).values(**values),
                execution_options={"synchronize_session": False},
            )

    def forget(self, kept_days: float, refused_kept_days: float) -> int:
        """Deletes entries older than `kept_days`, and refused requests older than `refused_kept_days`.

        One call deletes a limited number of each. Returns how many entries it deleted.
        """
        now, struck = self._clock(), 0
        for days, condition in ((kept_days, true()), (refused_kept_days, REFUSED)):
            old = select(AuditRow.id).where(AuditRow.at < now - days * _DAY_SECONDS, condition)
            some = old.order_by(AuditRow.at).limit(_STRUCK_AT_ONCE)
            with self._database.write() as session:
                result = session.execute(delete(AuditRow).where(AuditRow.id.in_(some)))
                assert isinstance(result, CursorResult)
                struck += result.rowcount
        return struck

    def list_entries(self, limit: int = 50, cursor: str | None = None) -> Page[AuditEntryView]:
        """Returns a page of entries, newest first. Raises InvalidRequest for a bad page."""
        with self._database.read_once() as session:
            rows, following = read_page(session, AuditRow, (AuditRow.id,), limit, cursor)
            return Page(items=[_view(row) for row in rows], next_cursor=following)


def _view(row: AuditRow) -> AuditEntryView:
    return AuditEntryView(
        id=row.id,
        at=as_time(row.at),
        subject=row.subject,
        kind=row.kind,
        address=row.address,
        request_id=row.request_id,
        method=row.method,
        path=row.path,
        status=row.status,
        location=row.location,
        project=_if_visible(row.project),
        target_project=_if_visible(row.target_project),
    )


def _if_visible(project: str | None) -> str | None:
    """Returns the project if the caller may see it, else None.

    A caller must not learn anything about other projects, not even which one an id that it guessed belongs to.
    """
    visible = visible_projects()
    return project if visible is None or project in visible else None
