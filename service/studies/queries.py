"""The queries for searches, ablations, trials and pictures."""

from sqlalchemy import select

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.config.stage_key import StageKey
from service.errors import NotFound
from service.lifecycle.list_filter import EVERYTHING, ListFilter
from service.lifecycle.states import RunKind
from service.store.database import Database
from service.store.paging import check_owner, get_row, read_page
from service.store.schema.tables import GenerationRow, RunRow, StageRow
from service.studies.view_builder import StudyViews, study_summary
from service.views.base import Page
from service.views.studies import AblationView, SearchView, StudySummary
from workers.artifact_io import read_bytes_if_there
from workers.specs.search import COST_FILE, HEAT_MAP_FILE, Trial
from workers.specs.stages import RELIABILITY_FILE

PICTURES = frozenset({HEAT_MAP_FILE, COST_FILE, RELIABILITY_FILE})
"""The file names of the pictures that stages write."""


class StudyQueries:
    """Reads studies. Thread-safe. Listings are newest first. Queries raise NotFound for unknown ids."""

    def __init__(self, database: Database, layout: ArtifactLayout) -> None:
        self._database = database
        self._layout = layout
        self._views = StudyViews(layout)

    def get_search(self, search_id: str) -> SearchView:
        with self._database.read() as session:
            return self._views.search(session, search_id)

    def list_searches(
        self, limit: int = 50, cursor: str | None = None, wanted: ListFilter = EVERYTHING
    ) -> Page[StudySummary]:
        return self._list(RunKind.SEARCH, limit, cursor, None, wanted)

    def get_ablation(self, ablation_id: str) -> AblationView:
        with self._database.read() as session:
            return self._views.ablation(session, ablation_id)

    def list_ablations(
        self, run_id: str, limit: int = 50, cursor: str | None = None, wanted: ListFilter = EVERYTHING
    ) -> Page[StudySummary]:
        """Returns a page of the ablations of one run."""
        return self._list(RunKind.ABLATION, limit, cursor, run_id, wanted)

    def stage_trials(self, run_id: str, generation: int) -> tuple[Trial, ...]:
        """Returns the trials of a search stage in their current state."""
        key = StageKey(run_id, generation, "search")
        with self._database.read_once() as session:
            get_row(session, StageRow, key, "stage", key.stage_id)
        return self._views.trials(run_id, generation)

    def picture(self, key: StageKey, name: str) -> bytes:
        """Returns a picture of the stage, an SVG document. Raises NotFound, ArtifactStoreUnavailable."""
        with self._database.read_once() as session:
            known = session.get(StageRow, key) is not None and name in PICTURES
        with artifact_store():
            data = read_bytes_if_there(self._layout.stage_file(key, name)) if known else None
        if data is None:
            raise NotFound("picture", f"{key.stage_id}/{name}")
        return data

    def _list(
        self, kind: RunKind, limit: int, cursor: str | None, source: str | None, wanted: ListFilter
    ) -> Page[StudySummary]:
        with self._database.read() as session:
            conditions = [RunRow.kind == kind]
            if source is not None:
                conditions.append(RunRow.source_run_id == source)
            keys = (RunRow.created_at, RunRow.id)
            rows, following = read_page(session, RunRow, keys, limit, cursor, *conditions, wanted=wanted)
            if source is not None:
                check_owner(session, rows, RunRow, source, "run", source)
            found = select(GenerationRow.run_id, GenerationRow.number).where(
                GenerationRow.run_id.in_([row.id for row in rows])
            )
            numbers = {row.run_id: row.number for row in session.execute(found)}
            return Page(items=[study_summary(row, numbers[row.id]) for row in rows], next_cursor=following)
