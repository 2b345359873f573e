"""The queries for predictions."""

from pydantic import ValidationError

from service.artifacts.bulkhead import artifact_store
from service.artifacts.layout import ArtifactLayout
from service.errors import ArtifactStoreUnavailable
from service.lifecycle.list_filter import EVERYTHING, ListFilter
from service.lifecycle.states import RunKind
from service.predictions.view_builder import prediction_summaries, prediction_view, stage_of
from service.store.database import Database
from service.store.paging import read_page
from service.store.schema.tables import RunRow
from service.views.base import Page
from service.views.studies import PredictionSummary, PredictionView
from workers.artifact_io import read_bytes_if_there
from workers.specs.reports import Progress


class PredictionQueries:
    """Reads predictions. Thread-safe."""

    def __init__(self, database: Database, layout: ArtifactLayout) -> None:
        self._database = database
        self._layout = layout

    def get(self, prediction_id: str) -> PredictionView:
        """Returns the prediction, with its progress as the stage last reported it. Raises NotFound."""
        with self._database.read() as session:
            view = prediction_view(session, self._layout, prediction_id)
        return view.model_copy(update={"progress": self._progress(prediction_id)})

    def list(
        self, limit: int = 50, cursor: str | None = None, wanted: ListFilter = EVERYTHING
    ) -> Page[PredictionSummary]:
        """Returns a page of predictions, newest first. Raises InvalidRequest for a bad page."""
        with self._database.read() as session:
            keys = (RunRow.created_at, RunRow.id)
            mine = RunRow.kind == RunKind.PREDICTION
            rows, following = read_page(session, RunRow, keys, limit, cursor, mine, wanted=wanted)
            return Page(items=prediction_summaries(session, rows), next_cursor=following)

    def _progress(self, prediction_id: str) -> Progress | None:
        """Returns None if there is none, or if the artifact store is away: that is no reason to hide the rest."""
        try:
            with artifact_store():
                data = read_bytes_if_there(self._layout.progress(stage_of(prediction_id)))
            return None if data is None else Progress.model_validate_json(data)
        except (ArtifactStoreUnavailable, ValidationError):
            return None
