"""The queries for plans."""

from service.config.settings.groups import ReconcilerSettings
from service.estimates.view_builder import estimate_summary, estimate_view
from service.lifecycle.list_filter import EVERYTHING, ListFilter
from service.lifecycle.states import RunKind
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.tables import RunRow
from service.views.base import Page
from service.views.estimates import EstimateSummary, EstimateView


class EstimateQueries:
    """Reads plans. Thread-safe."""

    def __init__(self, database: Database, reconciler: ReconcilerSettings) -> None:
        self._database = database
        self._tick_seconds = reconciler.tick_seconds

    def get_plan(self, plan_id: str) -> EstimateView:
        """Returns the plan, with its bill once everything is measured. Raises NotFound."""
        with self._database.read() as session:
            return estimate_view(session, plan_id, self._tick_seconds)

    def list_plans(
        self, limit: int = 50, cursor: str | None = None, wanted: ListFilter = EVERYTHING
    ) -> Page[EstimateSummary]:
        """Returns a page of plans, newest first. Raises InvalidRequest for a bad page."""
        with self._database.read_once() as session:
            keys = (RunRow.created_at, RunRow.id)
            rows, following = read_page(
                session, RunRow, keys, limit, cursor, RunRow.kind == RunKind.PLAN, wanted=wanted
            )
            return Page(items=[estimate_summary(row) for row in rows], next_cursor=following)
