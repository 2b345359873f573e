"""The queries for registrations of models."""

from service.imported_models.view_builder import registration_summary, registration_view
from service.lifecycle.states import RunKind
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.tables import RunRow
from service.views.base import Page
from service.views.lineage import RegistrationSummary, RegistrationView


class RegistrationQueries:
    """Reads registrations. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_registration(self, registration_id: str) -> RegistrationView:
        """Returns the registration, with its model once the check has passed. Raises NotFound."""
        with self._database.read() as session:
            return registration_view(session, registration_id)

    def list_registrations(self, limit: int = 50, cursor: str | None = None) -> Page[RegistrationSummary]:
        """Returns a page of registrations, newest first. Raises InvalidRequest for a bad page."""
        with self._database.read_once() as session:
            keys = (RunRow.created_at, RunRow.id)
            rows, following = read_page(session, RunRow, keys, limit, cursor, RunRow.kind == RunKind.REGISTRATION)
            return Page(items=[registration_summary(row) for row in rows], next_cursor=following)
