"""The audit log: every change that somebody asked for, written before it is carried out."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import update

from service.access.views import AuditEntryView
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.caller_tables import AuditRow
from service.views.base import Page, as_time

_LONGEST = 500
"""Characters kept of what a caller may choose freely."""


@dataclass(frozen=True)
class AuditedRequest:
    """Who asks for what, from where."""

    subject: str
    kind: str
    project: str | None
    address: str
    request_id: str
    method: str
    path: str


class AuditLog:
    """Thread-safe; append-only by triggers of the database. `clock` gives Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def begin(self, request: AuditedRequest) -> int:
        """Writes the entry, its outcome still open: without it, nothing may be changed."""
        with self._database.write_once() as session:
            row = AuditRow(
                at=self._clock(),
                subject=request.subject[:_LONGEST],
                kind=request.kind,
                project=request.project,
                address=request.address,
                request_id=request.request_id,
                method=request.method,
                path=request.path[:_LONGEST],
            )
            session.add(row)
            session.flush()
            return row.id

    def finish(self, entry_id: int, status: int, location: str | None = None) -> None:
        """Adds how it ended. `status` is HTTP's."""
        with self._database.write_once() as session:
            session.execute(
                update(AuditRow).where(AuditRow.id == entry_id).values(status=status, location=location),
                execution_options={"synchronize_session": False},
            )

    def list_entries(self, limit: int = 50, cursor: str | None = None) -> Page[AuditEntryView]:
        """Newest first."""
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
        project=row.project,
    )
